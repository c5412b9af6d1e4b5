// Package ipfs is the checkpoint store: UnixFS folders in IPFS blocks on disk, pinned and collected with boxo.
// It is offline unless it is given an exchange.
package ipfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange"
	"github.com/ipfs/boxo/filestore"
	"github.com/ipfs/boxo/ipld/merkledag"
	pinner "github.com/ipfs/boxo/pinning/pinner"
	"github.com/ipfs/boxo/pinning/pinner/dspinner"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/mount"
	dssync "github.com/ipfs/go-datastore/sync"
	leveldb "github.com/ipfs/go-ds-leveldb"
	format "github.com/ipfs/go-ipld-format"

	"github.com/skein-train/skein/checkpoint"
)

// Options says how a store works. The zero value is offline and durable.
type Options struct {
	// NoSync leaves it to the operating system when blocks reach the disk: faster, and a power cut may damage the store.
	NoSync bool
	// Exchange builds what fetches absent blocks from elsewhere and is told of new ones, over the store's own blocks;
	// see Bitswap. nil is offline. The store closes it. Its GetBlock must go on asking until its context is over.
	Exchange func(blockstore.Blockstore) exchange.Interface
	// Extra finds raw blocks of at most MaxRaw bytes by their SHA-256 outside of the store. The exchange serves them too. It
	// may be called from any goroutine; bytes that do not match are not sent. nil: none.
	Extra func(hash [32]byte) ([]byte, bool)
	// Quota bounds the bytes of the blocks on disk; 0: no bound. Blocks that reading brought (not Fetch, Pin or Add) are
	// dropped, those not used for the longest time first, when room is needed. What must stay and does not fit is
	// refused with ErrQuota.
	Quota int64
	// Wait is how long a read waits for a block from the exchange; 2 minutes if it is 0.
	Wait time.Duration
	// Cache is how many bytes of blocks stay in memory for io.ReaderAt; 32 MiB if it is 0.
	Cache int64
}

const (
	defaultWait  = 2 * time.Minute
	defaultCache = 32 << 20 // bytes
)

// Store implements checkpoint.Store.
type Store struct {
	folders
	data     datastore.Batching
	local    blockstore.GCBlockstore
	exchange exchange.Interface // nil offline
	service  blockservice.BlockService
	dag      format.DAGService
	pinner   pinner.Pinner
	wait     time.Duration

	quota      *budget // nil without a quota
	references *filestore.FileManager
}

var _ checkpoint.Store = (*Store)(nil)

// Open opens the store in a folder and creates it if need be. A store that a crash left behind opens like any other;
// Collect removes what was not pinned yet. Error: checkpoint.ErrInUse while another process has it open.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("checkpoint store: %w", err)
	}
	// The pins come first: their lock keeps a second process from the blocks, whose temporary files it would remove.
	meta, err := leveldb.NewDatastore(filepath.Join(dir, metaDir), nil)
	if err != nil {
		return nil, openError(dir, err)
	}
	blocks, err := openBlocks(filepath.Join(dir, blocksDir), !o.NoSync)
	if err != nil {
		return nil, errors.Join(openError(dir, err), meta.Close())
	}
	s, err := over(ctx, mount.New([]mount.Mount{
		{Prefix: blockstore.BlockPrefix, Datastore: blocks},
		{Prefix: datastore.NewKey("/"), Datastore: meta},
	}), o)
	if err != nil {
		return nil, errors.Join(openError(dir, err), blocks.Close(), meta.Close())
	}
	return s, nil
}

// Memory returns a store without a disk, for tests and simulations.
func Memory(ctx context.Context, o Options) (*Store, error) {
	return over(ctx, dssync.MutexWrap(datastore.NewMapDatastore()), o)
}

func openError(dir string, err error) error {
	const sharingViolation = syscall.Errno(32) // Windows's word for a lock
	if errors.Is(err, syscall.EAGAIN) || runtime.GOOS == "windows" && errors.Is(err, sharingViolation) {
		return fmt.Errorf("%w: %s: wait until the run is over, or stop it", checkpoint.ErrInUse, dir)
	}
	return fmt.Errorf("checkpoint store %s: %w", dir, explain(err))
}

// explain marks a full disk, an absent and a changed block with the errors of package checkpoint.
func explain(err error) error {
	var changed *filestore.CorruptReferenceError
	switch {
	case isDiskFull(err):
		return fmt.Errorf("%w: free some space, or lower checkpoint.keep: %w", checkpoint.ErrDiskFull, err)
	case format.IsNotFound(err):
		return fmt.Errorf("%w: %w", checkpoint.ErrNotFound, err)
	case errors.As(err, &changed):
		return fmt.Errorf("%w: a file that was added was changed or moved: %w; add it again", checkpoint.ErrCorrupt, err)
	}
	return err
}

// isDiskFull looks at the words too, because boxo's pinner does not wrap what it reports.
func isDiskFull(err error) bool {
	const windows = syscall.Errno(112)
	return errors.Is(err, syscall.ENOSPC) || runtime.GOOS == "windows" && errors.Is(err, windows) ||
		err != nil && strings.Contains(err.Error(), syscall.ENOSPC.Error())
}

func over(ctx context.Context, data datastore.Batching, o Options) (*Store, error) {
	s := &Store{data: data, wait: cmp.Or(o.Wait, defaultWait)}
	blocks, err := s.layers(ctx, o)
	if err != nil {
		return nil, err
	}
	// Collect must see every block, so nothing may be cached between it and the datastore.
	s.local = blockstore.NewGCBlockstore(blocks, blockstore.NewGCLocker())
	s.folders = folders{local: s.local, nodes: newNodeCache(cmp.Or(o.Cache, defaultCache))}
	if o.Exchange != nil {
		s.exchange = o.Exchange(served(s.local, o))
		s.bring = s.stream
	}
	s.service = blockservice.New(s.local, s.exchange, blockservice.WriteThrough(s.quota != nil)) // the quota wants to know what is added again
	s.dag = merkledag.NewDAGService(s.service)
	if s.pinner, err = dspinner.New(ctx, data, s.dag); err != nil {
		return nil, errors.Join(err, s.service.Close())
	}
	if err := s.loosenRest(ctx); err != nil {
		return nil, errors.Join(err, s.service.Close())
	}
	return s, nil
}

// layers are blocks of our own, below them references to those in other files, and the quota on top.
func (s *Store) layers(ctx context.Context, o Options) (blockstore.Blockstore, error) {
	own := blockstore.NewBlockstore(s.data)
	root, err := filepath.Abs(string(filepath.Separator)) // with the volume, where there are volumes
	if err != nil {
		return nil, err
	}
	s.references = filestore.NewFileManager(s.data, root)
	s.references.AllowFiles = true
	all := filestore.NewFilestore(own, s.references, nil)
	if o.Quota == 0 {
		return all, nil
	}
	s.quota, err = newBudget(ctx, own, all, o.Quota)
	return s.quota, err
}

func served(local blockstore.Blockstore, o Options) blockstore.Blockstore {
	if o.Extra == nil {
		return local
	}
	return withExtra{local, o.Extra}
}

// loosenRest lets go, under a quota, of what an earlier process streamed or left behind.
func (s *Store) loosenRest(ctx context.Context) error {
	if s.quota == nil {
		return nil
	}
	live, err := s.mark(ctx)
	if err != nil {
		return err
	}
	return each(ctx, s.local, func(c cid.Cid, _ int64) error {
		if !live.Has(c) {
			s.quota.loosen(c)
		}
		return nil
	})
}

// Pin implements checkpoint.Store.
func (s *Store) Pin(ctx context.Context, id, name string) error {
	c, err := parseCID(id)
	if err != nil {
		return err
	}
	if s.exchange != nil {
		if _, err := s.Fetch(ctx, id, FetchOptions{}); err != nil {
			return fmt.Errorf("pin: %w", err)
		}
	}
	defer s.local.PinLock(ctx).Unlock(ctx)
	seen := cid.NewSet()
	visit := func(c cid.Cid) bool { s.quota.claim(c); return seen.Visit(c) } // one at a time, says Walk
	if err := merkledag.Walk(ctx, s.here().linksOf, c, visit, merkledag.Concurrency(32)); err != nil {
		return fmt.Errorf("pin %s: %w", id, explain(err))
	}
	if err := s.pin(ctx, c, name); err != nil {
		return err
	}
	return s.release(ctx, c)
}

// pin protects a folder that is complete. It leaves an existing pin alone: boxo would take it off before it puts it on again.
func (s *Store) pin(ctx context.Context, c cid.Cid, name string) error {
	_, pinned, err := s.pinner.IsPinnedWithType(ctx, c, pinner.Recursive)
	if err == nil && !pinned {
		err = s.pinner.PinWithMode(ctx, c, pinner.Recursive, name)
	}
	if err != nil {
		return fmt.Errorf("pin %s: %w", c, explain(err))
	}
	return nil
}

// Unpin implements checkpoint.Store. It lets go of what Fetch brought, too.
func (s *Store) Unpin(ctx context.Context, id string) error {
	c, err := parseCID(id)
	if err != nil {
		return err
	}
	if err := s.pinner.Unpin(ctx, c, true); err != nil && !errors.Is(err, pinner.ErrNotPinned) {
		return fmt.Errorf("unpin %s: %w", id, explain(err))
	}
	return s.release(ctx, c)
}

// Pins implements checkpoint.Store.
func (s *Store) Pins(ctx context.Context) ([]checkpoint.Pin, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the sender if we leave early
	var out []checkpoint.Pin
	for p := range s.pinner.RecursiveKeys(ctx, true) {
		if p.Err != nil {
			return nil, fmt.Errorf("pins: %w", p.Err)
		}
		out = append(out, checkpoint.Pin{CID: p.Pin.Key.String(), Name: p.Pin.Name})
	}
	slices.SortFunc(out, func(a, b checkpoint.Pin) int {
		return strings.Compare(a.Name+"\x00"+a.CID, b.Name+"\x00"+b.CID)
	})
	return out, ctx.Err()
}

// Traffic counts what the exchange received and sent, if it is Bitswap's.
func (s *Store) Traffic() Traffic {
	if x, ok := s.exchange.(interface{ Traffic() Traffic }); ok {
		return x.Traffic()
	}
	return Traffic{}
}

// Close implements checkpoint.Store.
func (s *Store) Close() error {
	return errors.Join(s.pinner.Close(), s.service.Close(), s.data.Close())
}
