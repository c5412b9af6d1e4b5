package ipfs

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/filestore/posinfo"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
)

// ErrQuota is returned when what must stay in the store leaves no room for more.
var ErrQuota = errors.New("the store's disk quota is used up")

// budget keeps the blocks of a store within a number of bytes. Blocks that were streamed are loose: they go, the one
// not used for the longest time first, when room is needed. References to blocks in other files take no room.
type budget struct {
	blockstore.Blockstore
	limit int64 // bytes

	mu    sync.Mutex
	sizes map[string]int64 // of the blocks that are here, by multihash
	total int64            // bytes
	loose *recency[string, cid.Cid]
}

// newBudget counts what is here. All of it must stay until somebody says otherwise.
func newBudget(ctx context.Context, own, all blockstore.Blockstore, limit int64) (*budget, error) {
	b := &budget{Blockstore: all, limit: limit, sizes: map[string]int64{}, loose: newRecency[string, cid.Cid]()}
	return b, each(ctx, own, func(c cid.Cid, size int64) error {
		b.sizes[string(c.Hash())] = size
		b.total += size
		return nil
	})
}

// Put implements blockstore.Blockstore.
func (b *budget) Put(ctx context.Context, block blocks.Block) error {
	return b.write(ctx, []blocks.Block{block}, false)
}

// PutMany implements blockstore.Blockstore. What is put has to stay, even if it was loose before.
func (b *budget) PutMany(ctx context.Context, all []blocks.Block) error {
	return b.write(ctx, all, false)
}

// PutLoose stores a block that may go again when room is needed. If it is here already it stays what it was.
func (b *budget) PutLoose(ctx context.Context, block blocks.Block) error {
	return b.write(ctx, []blocks.Block{block}, true)
}

func (b *budget) write(ctx context.Context, all []blocks.Block, loose bool) error {
	fresh, err := b.reserve(ctx, all, loose)
	switch {
	case err != nil:
	case len(all) == 1:
		err = b.Blockstore.Put(ctx, all[0])
	default:
		err = b.Blockstore.PutMany(ctx, all)
	}
	if err == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range fresh {
		b.remove(k)
	}
	return err
}

// reserve makes room for the blocks that are not here yet, whose keys it returns.
func (b *budget) reserve(ctx context.Context, all []blocks.Block, loose bool) (fresh []string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, block := range all {
		k := string(block.Cid().Hash())
		if _, reference := block.(*posinfo.FilestoreNode); reference {
			continue
		}
		if _, here := b.sizes[k]; here {
			if !loose {
				b.loose.remove(k)
			}
			continue
		}
		size := int64(len(block.RawData()))
		if err := b.makeRoom(ctx, size); err != nil {
			return fresh, err
		}
		b.sizes[k] = size
		b.total += size
		if loose {
			b.loose.add(k, block.Cid(), size)
		}
		fresh = append(fresh, k)
	}
	return fresh, nil
}

func (b *budget) makeRoom(ctx context.Context, size int64) error {
	if must := b.total - b.loose.used; must+size > b.limit {
		return fmt.Errorf("%w: %d of %d bytes are pinned or being fetched, and %d more do not fit; raise the quota, or unpin what is not needed",
			ErrQuota, must, b.limit, size)
	}
	for b.total+size > b.limit {
		k, _, _ := b.loose.oldest()
		c, _ := b.loose.get(k)
		if err := b.Blockstore.DeleteBlock(ctx, c); err != nil && !format.IsNotFound(err) {
			return err
		}
		b.remove(k)
	}
	return nil
}

func (b *budget) remove(k string) {
	b.total -= b.sizes[k]
	delete(b.sizes, k)
	b.loose.remove(k)
}

// Get implements blockstore.Blockstore. It counts as a use.
func (b *budget) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	b.mu.Lock()
	b.loose.get(string(c.Hash()))
	b.mu.Unlock()
	return b.Blockstore.Get(ctx, c)
}

// DeleteBlock implements blockstore.Blockstore.
func (b *budget) DeleteBlock(ctx context.Context, c cid.Cid) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.Blockstore.DeleteBlock(ctx, c); err != nil {
		return err
	}
	b.remove(string(c.Hash()))
	return nil
}

// loosen lets a block go when room is needed.
func (b *budget) loosen(c cid.Cid) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := string(c.Hash())
	if size, here := b.sizes[k]; here {
		b.loose.add(k, c, size)
	}
}

// claim makes a block stay.
func (b *budget) claim(c cid.Cid) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loose.remove(string(c.Hash()))
}

// isLoose reports whether a block may go when room is needed, but not before.
func (b *budget) isLoose(c cid.Cid) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.loose.at[string(c.Hash())] != nil
}

// fits says at once whether a folder can be here as a whole.
func (b *budget) fits(size int64) error {
	if b == nil || size <= b.limit {
		return nil
	}
	return fmt.Errorf("%w: it has %d bytes, the quota is %d; raise the quota", ErrQuota, size, b.limit)
}
