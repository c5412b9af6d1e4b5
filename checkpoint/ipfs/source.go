package ipfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/go-datastore"
	flatfs "github.com/ipfs/go-ds-flatfs"

	"github.com/skein-train/skein/checkpoint"
)

// OpenSource reads a store's folders without opening the store, so also while a run has it open. A folder that the run
// lets go of in the meantime is not found from then on. There is nothing to close.
func OpenSource(dir string) (checkpoint.Source, error) {
	blocks := filepath.Join(dir, blocksDir)
	if _, err := os.Stat(blocks); err != nil {
		return nil, fmt.Errorf("%w: there is no checkpoint store in %s", checkpoint.ErrNotFound, dir)
	}
	local := blockstore.NewBlockstore(blockFiles{NullDatastore: datastore.NewNullDatastore(), dir: blocks}, blockstore.NoPrefix())
	return &folders{local: local, nodes: newNodeCache(defaultCache)}, nil
}

// blockFiles reads the files that flatfs keeps blocks in. It never writes.
type blockFiles struct {
	*datastore.NullDatastore
	dir string
}

func (b blockFiles) path(k datastore.Key) string {
	name := k.String()[1:]
	return filepath.Join(b.dir, flatfs.NextToLast(2).Func()(name), name+".data")
}

func (b blockFiles) Get(_ context.Context, k datastore.Key) ([]byte, error) {
	out, err := os.ReadFile(b.path(k))
	return out, absent(err)
}

func (b blockFiles) Has(ctx context.Context, k datastore.Key) (bool, error) {
	_, err := b.GetSize(ctx, k)
	if errors.Is(err, datastore.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (b blockFiles) GetSize(_ context.Context, k datastore.Key) (int, error) {
	info, err := os.Stat(b.path(k))
	if err != nil {
		return -1, absent(err)
	}
	return int(info.Size()), nil
}

func (b blockFiles) Put(context.Context, datastore.Key, []byte) error {
	return errors.New("the store is open for reading only")
}

func (b blockFiles) Delete(context.Context, datastore.Key) error {
	return errors.New("the store is open for reading only")
}

// absent is the datastores' word for a file that does not exist.
func absent(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return datastore.ErrNotFound
	}
	return err
}
