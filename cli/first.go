package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/dustin/go-humanize"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/swarm"
)

// first is the checkpoint that a run starts from, if it does not start from its seed.
type first struct {
	name  string   // a run of this machine or a CID, as it was asked for
	peers []string // who has it; none: this machine
	cid   string
}

// firstPin is the name under which that checkpoint is pinned in the run's own store: joiners start from it too.
const firstPin = "first"

// openFirst puts the workers on the parameters that the run starts from, if those are a checkpoint's. Only the parameters are taken
// over: the outer optimizer starts afresh.
func (s *session) openFirst(ctx context.Context) (err error) {
	known := s.manifest.FirstCID
	if known == "" && (s.first.name == "" || s.manifest.Version > 0) {
		return nil
	}
	store, done, err := s.firstStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if s.first.cid = known; known == "" {
		if s.first.cid, err = s.bring(ctx, store); err != nil {
			return fmt.Errorf("--from %s: %w", s.first.name, err)
		}
	}
	params, err := firstParameters(ctx, store, s.first.cid, s.layout, s.cfg.Data.Tokenizer)
	if err != nil {
		return fmt.Errorf("the checkpoint to start from, %s: %w", s.first.cid, err)
	}
	for _, w := range s.workers {
		w.replica.Write(params, gradients.Fragment{Hi: len(params)})
	}
	return nil
}

// firstStore opens the run's store, online if there are peers to fetch from.
func (s *session) firstStore(ctx context.Context) (store *ipfs.Store, done func() error, err error) {
	if len(s.first.peers) == 0 {
		store, err = ipfs.Open(ctx, s.dir.ipfs(), ipfs.Options{})
		return store, func() error { return store.Close() }, err
	}
	h, err := swarm.NewBareHost(nil, s.caps)
	if err != nil {
		return nil, nil, err
	}
	if err := h.Connect(ctx, s.first.peers); err != nil {
		return nil, nil, errors.Join(err, h.Close())
	}
	if store, err = ipfs.Open(ctx, s.dir.ipfs(), ipfs.Options{Exchange: ipfs.Bitswap(h.Host())}); err != nil {
		return nil, nil, errors.Join(err, h.Close())
	}
	return store, func() error { return errors.Join(store.Close(), h.Close()) }, nil
}

// bring gets the checkpoint into the run's store and pins it there.
func (s *session) bring(ctx context.Context, store *ipfs.Store) (string, error) {
	defer s.out.update("")
	if len(s.first.peers) > 0 {
		const slots = 16 // of an outer optimizer, at most
		_, err := store.Fetch(ctx, s.first.name, ipfs.FetchOptions{MaxBytes: 4*(1+slots)*int64(s.layout.Len()) + 1<<30, Progress: func(done, total int64) {
			s.out.update("fetching the checkpoint to start from: %s of %s", humanize.IBytes(uint64(done)), humanize.IBytes(uint64(total)))
		}})
		if err != nil {
			return "", err
		}
		return s.first.name, store.Pin(ctx, s.first.name, firstPin)
	}
	from, cid, err := findCheckpoint(ctx, s.dir.runs(), s.first.name)
	if err != nil {
		return "", err
	}
	folder, err := from.Open(ctx, cid)
	if err != nil {
		return "", err
	}
	files, closeAll, err := filesOf(folder)
	if err != nil {
		return "", err
	}
	defer closeAll()
	return store.Add(ctx, firstPin, files)
}

// filesOf opens every file of a folder.
func filesOf(folder fs.FS) (files []checkpoint.File, closeAll func(), err error) {
	var opened []fs.File
	closeAll = func() {
		for _, f := range opened {
			_ = f.Close() // only read
		}
	}
	err = fs.WalkDir(folder, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := folder.Open(path)
		if err != nil {
			return err
		}
		opened = append(opened, f)
		files = append(files, checkpoint.File{Path: path, Data: f})
		return nil
	})
	if err != nil {
		closeAll()
	}
	return files, closeAll, err
}

// firstParameters reads a checkpoint's parameters for a model of the given layout, however that is cut into fragments.
func firstParameters(ctx context.Context, from checkpoint.Source, cid string, l gradients.Layout, tokenizer string) (gradients.Vec, error) {
	folder, err := from.Open(ctx, cid)
	if err != nil {
		return nil, err
	}
	c, err := checkpoint.Read(folder, maxLocal)
	if err != nil {
		return nil, err
	}
	if c.Tokenizer.Name != tokenizer {
		return nil, fmt.Errorf("its tokenizer is %s, the run file's data.tokenizer is %s", c.Tokenizer.Name, tokenizer)
	}
	same := func(a, b gradients.Tensor) bool { return a.Name == b.Name && slices.Equal(a.Shape, b.Shape) }
	if !slices.EqualFunc(c.Layout, l, same) {
		return nil, fmt.Errorf("its model is another one than the run file's: %s parameters, not %s; take over its section model", humanize.Comma(int64(c.Layout.Len())), humanize.Comma(int64(l.Len())))
	}
	return c.Anchor, nil
}

// fetchFirst brings the checkpoint that the run started from to a machine that joined before the run's own first one.
func (g *guest) fetchFirst(ctx context.Context) (*aggregator.Shared, error) {
	g.out.update("fetching the checkpoint that the run starts from")
	defer g.out.update("")
	cid := g.manifest.FirstCID
	if _, err := g.store.Fetch(ctx, cid, ipfs.FetchOptions{MaxBytes: g.largest()}); err != nil {
		return nil, fmt.Errorf("the checkpoint that the run starts from: %w", err)
	}
	params, err := firstParameters(ctx, g.store, cid, g.layout, g.cfg.Data.Tokenizer)
	if err != nil {
		return nil, fmt.Errorf("the checkpoint that the run starts from, %s: %w", cid, err)
	}
	from := &aggregator.Shared{Anchor: params}
	for range g.method.Outer(g.layout, g.layout.Fragments()[0]).Slots() {
		from.Outer = append(from.Outer, make(gradients.Vec, len(params)))
	}
	return from, g.keep(ctx, cid)
}
