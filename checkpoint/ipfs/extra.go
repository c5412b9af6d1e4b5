package ipfs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"

	"github.com/skein-train/skein/checkpoint"
)

// MaxRaw is how many bytes a block from Options.Extra may have.
const MaxRaw = 1 << 20

// withExtra is a store's blocks as the exchange sees them: it serves raw blocks from another source too.
type withExtra struct {
	blockstore.Blockstore
	extra func(hash [32]byte) ([]byte, bool)
}

// find looks for a block in the other source. Bytes that do not match are none.
func (s withExtra) find(c cid.Cid) (blocks.Block, bool) {
	hash, ok := rawHash(c)
	if !ok {
		return nil, false
	}
	b, ok := s.extra(hash)
	if !ok || len(b) > MaxRaw || sha256.Sum256(b) != hash {
		return nil, false
	}
	out, err := blocks.NewBlockWithCid(b, c)
	return out, err == nil
}

func (s withExtra) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	b, err := s.Blockstore.Get(ctx, c)
	if format.IsNotFound(err) {
		if found, ok := s.find(c); ok {
			return found, nil
		}
	}
	return b, err
}

func (s withExtra) GetSize(ctx context.Context, c cid.Cid) (int, error) {
	n, err := s.Blockstore.GetSize(ctx, c)
	if format.IsNotFound(err) {
		if found, ok := s.find(c); ok {
			return len(found.RawData()), nil
		}
	}
	return n, err
}

func (s withExtra) Has(ctx context.Context, c cid.Cid) (bool, error) {
	ok, err := s.Blockstore.Has(ctx, c)
	if err == nil && !ok {
		_, ok = s.find(c)
	}
	return ok, err
}

// rawCID names a raw block by its SHA-256.
func rawCID(hash [32]byte) (cid.Cid, error) {
	h, err := multihash.Encode(hash[:], multihash.SHA2_256)
	return cid.NewCidV1(cid.Raw, h), err
}

func rawHash(c cid.Cid) (hash [32]byte, ok bool) {
	if allow(c) != nil || c.Prefix().Codec != cid.Raw {
		return hash, false
	}
	h, err := multihash.Decode(c.Hash())
	if err != nil {
		return hash, false
	}
	copy(hash[:], h.Digest)
	return hash, true
}

// GetRaw gets a raw block by its SHA-256, from this store or from peers, who may have it from Options.Extra. The store does not
// keep it. It may have at most limit bytes, or the error wraps checkpoint.ErrRefused; if nobody has it within Options.Wait,
// checkpoint.ErrNotFound.
func (s *Store) GetRaw(ctx context.Context, hash [32]byte, limit int) ([]byte, error) {
	c, err := rawCID(hash)
	if err != nil {
		return nil, err
	}
	b, err := s.local.Get(ctx, c)
	if format.IsNotFound(err) {
		b, err = s.inTime(ctx, c, s.elsewhere)
	}
	if err != nil {
		return nil, fmt.Errorf("raw block %x: %w", hash, explain(err))
	}
	n, err := parse(c, b.RawData())
	if err == nil && len(n.data) > limit {
		err = fmt.Errorf("%w: %d bytes, at most %d are allowed", checkpoint.ErrRefused, len(n.data), limit)
	}
	if err != nil {
		return nil, fmt.Errorf("raw block %x: %w", hash, err)
	}
	return n.data, nil
}

// inTime gets a block for somebody who does not wait for ever.
func (s *Store) inTime(ctx context.Context, c cid.Cid, get func(context.Context, cid.Cid) (blocks.Block, error)) (blocks.Block, error) {
	waiting, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	b, err := get(waiting, c)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, s.silent(fmt.Sprintf("block %s did not come for %v", c, s.wait))
	}
	return b, err
}
