package ipfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
	"golang.org/x/sync/errgroup"

	"github.com/skein-train/skein/checkpoint"
)

// FetchOptions bound a fetch. The zero value is sensible.
type FetchOptions struct {
	// Window is how many blocks are under way at a time, 8 if it is 0. No more than these are lost if the process dies.
	Window int
	// MaxBytes is how many bytes all the blocks of the folder may have together; 0: any number. Files say in their
	// branches how long they are, and no leaf is asked for before that is known to fit.
	MaxBytes int64
	// Idle is how long to go on without any block; 2 minutes if it is 0.
	Idle time.Duration
	// Progress is told, never twice at a time, how many bytes are here and how many there will be, as far as is known.
	Progress func(done, total int64)
}

const (
	defaultWindow = 8
	defaultIdle   = 2 * time.Minute
)

var errIdle = errors.New("idle")

// Fetch brings every block of a folder here that is missing, from all the peers that the exchange knows, and counts what
// it brought. It takes up where an earlier one was broken off, even by kill -9: a block is on disk as soon as it
// has come. Collect spares what is here of the folder until Pin or Unpin. Errors: checkpoint.ErrNotFound, saying what
// is missing and what to do, when no block came for Idle; checkpoint.ErrRefused for folders of other kinds or above MaxBytes.
func (s *Store) Fetch(ctx context.Context, id string, o FetchOptions) (checkpoint.Usage, error) {
	root, err := parseCID(id)
	if err != nil {
		return checkpoint.Usage{}, err
	}
	if err := s.hold(ctx, root); err != nil {
		return checkpoint.Usage{}, fmt.Errorf("fetch %s: %w", id, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := &fetch{store: s, FetchOptions: o}
	f.Window, f.Idle = cmp.Or(o.Window, defaultWindow), cmp.Or(o.Idle, defaultIdle)
	f.patience = time.AfterFunc(f.Idle, func() { cancel(errIdle) })
	defer f.patience.Stop()
	err = f.run(ctx, root)
	if errors.Is(context.Cause(ctx), errIdle) {
		err = f.gaveUp()
	}
	if err != nil {
		return f.brought, fmt.Errorf("fetch %s: %w", id, explain(err))
	}
	return f.brought, nil
}

// fetch is one call of Fetch.
type fetch struct {
	FetchOptions
	store    *Store
	patience *time.Timer

	mu          sync.Mutex // guards what follows
	brought     checkpoint.Usage
	known, have checkpoint.Usage // blocks of the folder; those of them that are here
}

// piece is a block of the folder that its parent named.
type piece struct {
	cid  cid.Cid
	size int64 // bytes of the file below it, or -1 if its parent does not say
}

// run gets the branches, which tell how much there is, then the leaves.
func (f *fetch) run(ctx context.Context, root cid.Cid) error {
	var leaves []piece
	seen := cid.NewSet()
	level := []piece{{root, -1}}
	for depth := 0; len(level) > 0; depth++ {
		if depth > 2*maxDepth {
			return fmt.Errorf("%w: more than %d levels", checkpoint.ErrRefused, depth)
		}
		nodes, err := f.branches(ctx, level)
		if err != nil {
			return err
		}
		level = nil
		for _, p := range below(nodes, seen) {
			if p.size < 0 || p.cid.Prefix().Codec != cid.Raw {
				level = append(level, p)
				continue
			}
			leaves = append(leaves, p)
			if err := f.expect(p.size); err != nil {
				return err
			}
		}
	}
	return f.each(ctx, leaves, f.leaf)
}

// below lists what the nodes link to and was not seen yet.
func below(nodes []node, seen *cid.Set) (out []piece) {
	for _, n := range nodes {
		for _, l := range n.links {
			if !seen.Visit(l.cid) {
				continue
			}
			p := piece{l.cid, l.size}
			if n.folder {
				p.size = -1
			}
			out = append(out, p)
		}
	}
	return out
}

// each does all the pieces, Window at a time.
func (f *fetch) each(ctx context.Context, all []piece, do func(context.Context, piece) error) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(f.Window)
	for _, p := range all {
		if inner.Err() != nil {
			break
		}
		g.Go(func() error { return do(inner, p) })
	}
	return cmp.Or(g.Wait(), ctx.Err())
}

func (f *fetch) branches(ctx context.Context, all []piece) ([]node, error) {
	var mu sync.Mutex
	var out []node
	return out, f.each(ctx, all, func(ctx context.Context, p piece) error {
		f.store.quota.claim(p.cid)
		b, err := f.store.local.Get(ctx, p.cid)
		if format.IsNotFound(err) {
			b, err = f.ask(ctx, p.cid)
		}
		if err != nil {
			return err
		}
		n, err := parse(p.cid, b.RawData())
		if err == nil && p.size >= 0 && (n.folder || n.size != p.size) {
			err = fmt.Errorf("%w: block %s does not fit into its file", checkpoint.ErrRefused, p.cid)
		}
		if err == nil {
			err = f.expect(int64(len(b.RawData())))
		}
		if err != nil {
			return err
		}
		f.here(int64(len(b.RawData())))
		mu.Lock()
		defer mu.Unlock()
		out = append(out, n)
		return nil
	})
}

func (f *fetch) leaf(ctx context.Context, p piece) error {
	f.store.quota.claim(p.cid)
	size, err := f.store.local.GetSize(ctx, p.cid)
	if format.IsNotFound(err) {
		var b blocks.Block
		if b, err = f.ask(ctx, p.cid); err == nil {
			size = len(b.RawData())
		}
	}
	f.store.quota.claim(p.cid) // somebody may have read it here in between
	if err == nil && int64(size) != p.size {
		err = fmt.Errorf("%w: block %s does not fit into its file", checkpoint.ErrRefused, p.cid)
	}
	if err == nil {
		f.here(p.size)
	}
	return err
}

// ask gets a block from elsewhere.
func (f *fetch) ask(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	b, err := f.store.ask(ctx, c)
	if err != nil {
		return nil, err
	}
	f.patience.Reset(f.Idle)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.brought.Blocks++
	f.brought.Bytes += int64(len(b.RawData()))
	return b, nil
}

// expect notes one more block of the folder.
func (f *fetch) expect(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known.Blocks++
	f.known.Bytes += size
	if f.MaxBytes > 0 && f.known.Bytes > f.MaxBytes {
		return fmt.Errorf("%w: it has more than the %d bytes that are allowed", checkpoint.ErrRefused, f.MaxBytes)
	}
	return f.store.quota.fits(f.known.Bytes)
}

// here notes that one of the expected blocks is here.
func (f *fetch) here(size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.have.Blocks++
	f.have.Bytes += size
	if f.Progress != nil {
		f.Progress(f.have.Bytes, f.known.Bytes)
	}
}

// gaveUp says what is missing, and what helps.
func (f *fetch) gaveUp() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	missing := "its first blocks"
	if n := f.known.Blocks - f.have.Blocks; n > 0 {
		missing = fmt.Sprintf("%d blocks (%d bytes)", n, f.known.Bytes-f.have.Bytes)
	}
	return f.store.silent(fmt.Sprintf("%s are missing, and none came for %v", missing, f.Idle))
}

// silent is the error about blocks that do not come. It names peers that sent other bytes in their place.
func (s *Store) silent(what string) error {
	const remedy = "connect to a peer that has them and try again: what is here stays"
	x, ok := s.exchange.(interface {
		Peers() int
		Suspects() []string
	})
	if !ok {
		return fmt.Errorf("%w: %s; %s", checkpoint.ErrNotFound, what, remedy)
	}
	if bad := x.Suspects(); len(bad) > 0 {
		return fmt.Errorf("%w: %s; %s sent bytes that match no block (%w); %s",
			checkpoint.ErrNotFound, what, strings.Join(bad, ", "), checkpoint.ErrCorrupt, remedy)
	}
	return fmt.Errorf("%w: %s from %d connected peers; %s", checkpoint.ErrNotFound, what, x.Peers(), remedy)
}

// emptyBlock is the one block that bitswap's server never sends.
func emptyBlock(c cid.Cid) (blocks.Block, bool) {
	if sum, err := c.Prefix().Sum(nil); err != nil || !sum.Equals(c) {
		return nil, false
	}
	b, err := blocks.NewBlockWithCid(nil, c)
	return b, err == nil
}

// ask gets a block from elsewhere, checks it and stores it, to stay.
func (s *Store) ask(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	return s.take(ctx, c, s.local.Put)
}

// stream is ask for readers: what they get may go again, if there is a quota, and they do not wait for ever.
func (s *Store) stream(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	put := s.local.Put
	if s.quota != nil {
		put = s.quota.PutLoose
	}
	return s.inTime(ctx, c, func(ctx context.Context, c cid.Cid) (blocks.Block, error) { return s.take(ctx, c, put) })
}

// take gets a block from elsewhere, checks it and puts it away. The lock keeps it out of a collection that has already
// looked at the block's parents.
func (s *Store) take(ctx context.Context, c cid.Cid, put func(context.Context, blocks.Block) error) (blocks.Block, error) {
	b, err := s.elsewhere(ctx, c)
	if err != nil {
		return nil, err
	}
	if _, err := parse(c, b.RawData()); err != nil {
		return nil, err
	}
	lock := s.local.PinLock(ctx)
	err = put(ctx, b)
	lock.Unlock(ctx)
	if err != nil {
		return nil, err
	}
	return b, s.exchange.NotifyNewBlocks(ctx, b)
}

// elsewhere gets a block from peers.
func (s *Store) elsewhere(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if s.exchange == nil {
		return nil, format.ErrNotFound{Cid: c}
	}
	if b, ok := emptyBlock(c); ok {
		return b, nil
	}
	return s.exchange.GetBlock(ctx, c)
}
