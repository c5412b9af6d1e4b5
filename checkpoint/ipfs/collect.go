package ipfs

import (
	"context"
	"fmt"

	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/skein-train/skein/checkpoint"
)

// Collect implements checkpoint.Store: it marks what the pins reach, and what is here of folders that are being fetched,
// and sweeps the rest. Streamed blocks stay for as long as the quota has room for them, if there is one. If the marking fails, because a pinned
// block is missing say, nothing is deleted.
func (s *Store) Collect(ctx context.Context) (checkpoint.Usage, error) {
	defer s.local.GCLock(ctx).Unlock(ctx)
	live, err := s.mark(ctx)
	if err != nil {
		return checkpoint.Usage{}, fmt.Errorf("collect: %w; nothing was deleted", err)
	}
	var removed checkpoint.Usage
	err = each(ctx, s.local, func(c cid.Cid, size int64) error {
		if live.Has(c) || s.quota.isLoose(c) {
			return nil
		}
		removed.Blocks++
		removed.Bytes += size
		return s.local.DeleteBlock(ctx, c)
	})
	if err != nil {
		return removed, fmt.Errorf("collect: %w", explain(err))
	}
	return removed, nil
}

// mark returns the keys of all the blocks that pins reach, and folders that are being fetched.
func (s *Store) mark(ctx context.Context) (*cid.Set, error) {
	here := s.here()
	live, seen := cid.NewSet(), cid.NewSet()
	visit := func(c cid.Cid) bool {
		live.Add(blockKey(c))
		return seen.Visit(c) // by whole CID: a link may call a folder's block a leaf, which must not hide the folder
	}
	pins, err := s.Pins(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range pins {
		c, err := parseCID(p.CID)
		if err != nil {
			return nil, err
		}
		if err := merkledag.Walk(ctx, here.branches, c, visit); err != nil {
			return nil, fmt.Errorf("pin %q: %w", p.Name, err)
		}
	}
	held, err := s.partials(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range held {
		if err := merkledag.Walk(ctx, here.branchesSoFar, c, visit); err != nil {
			return nil, fmt.Errorf("partial folder %s: %w", c, err)
		}
	}
	return live, nil
}

// blockKey is the form in which a blockstore lists a block: it knows the hash, not the codec.
func blockKey(c cid.Cid) cid.Cid { return cid.NewCidV1(cid.Raw, c.Hash()) }

// Usage implements checkpoint.Store.
func (s *Store) Usage(ctx context.Context) (u checkpoint.Usage, err error) {
	err = each(ctx, s.local, func(_ cid.Cid, size int64) error {
		u.Blocks++
		u.Bytes += size
		return nil
	})
	return u, explain(err)
}

// each calls do with every stored block's key and size in bytes.
func each(ctx context.Context, blocks blockstore.Blockstore, do func(cid.Cid, int64) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the sender if we leave early
	keys, err := blocks.AllKeysChan(ctx)
	if err != nil {
		return err
	}
	for c := range keys {
		size, err := blocks.GetSize(ctx, c)
		if format.IsNotFound(err) {
			continue // it went meanwhile
		}
		if err != nil {
			return err
		}
		if err := do(c, int64(size)); err != nil {
			return err
		}
	}
	return ctx.Err()
}
