package ipfs

import (
	"context"
	"errors"
	"os"

	"github.com/ipfs/go-datastore"
	flatfs "github.com/ipfs/go-ds-flatfs"
)

const (
	blocksDir = "blocks"
	metaDir   = "meta"
)

// blockDisk is flatfs: a file for each block. Its batches leave no temporary files behind when they fail: on a full
// disk those would fill it for as long as the process lives.
type blockDisk struct{ *flatfs.Datastore }

// openBlocks makes a new folder of blocks aside, so that a crash never leaves a half-made one under the name.
func openBlocks(path string, sync bool) (blockDisk, error) {
	if _, err := os.Stat(path); err != nil {
		aside := path + ".new"
		if err := os.RemoveAll(aside); err != nil {
			return blockDisk{}, err
		}
		if err := flatfs.Create(aside, flatfs.NextToLast(2)); err != nil {
			return blockDisk{}, err
		}
		if err := os.Rename(aside, path); err != nil {
			return blockDisk{}, err
		}
	}
	d, err := flatfs.Open(path, sync)
	return blockDisk{d}, err
}

// Batch implements datastore.Batching.
func (d blockDisk) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := d.Datastore.Batch(ctx)
	if err != nil {
		return nil, err
	}
	if discardable, ok := b.(flatfs.DiscardableBatch); ok {
		return tidyBatch{discardable}, nil
	}
	return b, nil
}

// tidyBatch discards itself when it fails.
type tidyBatch struct{ flatfs.DiscardableBatch }

func (b tidyBatch) Put(ctx context.Context, k datastore.Key, v []byte) error {
	return b.tidy(ctx, b.DiscardableBatch.Put(ctx, k, v))
}

func (b tidyBatch) Commit(ctx context.Context) error {
	return b.tidy(ctx, b.DiscardableBatch.Commit(ctx))
}

func (b tidyBatch) tidy(ctx context.Context, err error) error {
	if err != nil {
		return errors.Join(err, b.Discard(context.WithoutCancel(ctx)))
	}
	return nil
}
