package ipfs

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"sync/atomic"

	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/skein-train/skein/checkpoint"
)

// folders implements checkpoint.Source over blocks.
type folders struct {
	fetch blockservice.BlockService // local blocks first, then the exchange
	local blockstore.Blockstore
}

func (s *folders) node(ctx context.Context, c cid.Cid) (node, error) {
	if err := allow(c); err != nil {
		return node{}, err
	}
	b, err := s.fetch.GetBlock(ctx, c)
	if err != nil {
		return node{}, explain(err)
	}
	return parse(c, b.RawData())
}

// linksOf is node for merkledag.Walk.
func (s *folders) linksOf(ctx context.Context, c cid.Cid) ([]*format.Link, error) {
	n, err := s.node(ctx, c)
	if err != nil {
		return nil, err
	}
	out := make([]*format.Link, len(n.links))
	for i, l := range n.links {
		out[i] = &format.Link{Cid: l.cid, Name: l.name}
	}
	return out, nil
}

// branches is linksOf without reading leaves, which have no links.
func (s *folders) branches(ctx context.Context, c cid.Cid) ([]*format.Link, error) {
	if c.Prefix().Codec == cid.Raw {
		return nil, nil
	}
	return s.linksOf(ctx, c)
}

// Verify implements checkpoint.Source. It reads what is here and fetches nothing.
func (s *folders) Verify(ctx context.Context, id string) (checkpoint.Usage, error) {
	root, err := parseCID(id)
	if err != nil {
		return checkpoint.Usage{}, err
	}
	here := folders{fetch: blockservice.New(s.local, nil), local: s.local}
	var blocks, bytes atomic.Int64
	links := func(ctx context.Context, c cid.Cid) ([]*format.Link, error) {
		size, err := s.local.GetSize(ctx, c)
		if err != nil {
			return nil, explain(err)
		}
		blocks.Add(1)
		bytes.Add(int64(size))
		return here.linksOf(ctx, c)
	}
	err = merkledag.Walk(ctx, links, root, cid.NewSet().Visit, merkledag.Concurrency(runtime.GOMAXPROCS(0)))
	if err != nil {
		return checkpoint.Usage{}, fmt.Errorf("verify %s: %w", id, err)
	}
	return checkpoint.Usage{Blocks: int(blocks.Load()), Bytes: bytes.Load()}, nil
}

// Open implements checkpoint.Source.
func (s *folders) Open(ctx context.Context, id string) (fs.FS, error) {
	c, err := parseCID(id)
	if err != nil {
		return nil, err
	}
	left := maxFiles
	root, err := s.tree(ctx, ".", c, maxDepth, &left)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", id, err)
	}
	if !root.node.folder {
		return nil, fmt.Errorf("open %s: %w: it is a file", id, checkpoint.ErrRefused)
	}
	return &folder{ctx: ctx, from: s, root: root}, nil
}

// tree reads the folders and the first block of every file.
func (s *folders) tree(ctx context.Context, name string, c cid.Cid, depth int, left *int) (*entry, error) {
	if *left--; *left < 0 || depth == 0 {
		return nil, fmt.Errorf("%w: more than %d files, or %d folders in each other", checkpoint.ErrRefused, maxFiles, maxDepth)
	}
	n, err := s.node(ctx, c)
	if err != nil {
		return nil, err
	}
	e := &entry{name: name, node: n}
	if !n.folder {
		if e.node.data = nil; len(n.links) == 0 {
			e.node.links = []link{{cid: c, size: n.size}} // read when it is wanted
		}
		return e, nil
	}
	for _, l := range n.links {
		child, err := s.tree(ctx, l.name, l.cid, depth-1, left)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		e.children = append(e.children, child)
	}
	return e, nil
}
