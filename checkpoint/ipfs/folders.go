package ipfs

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"sync/atomic"

	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/ipld/merkledag"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/skein-train/skein/checkpoint"
)

// folders implements checkpoint.Source over blocks.
type folders struct {
	local blockstore.Blockstore
	bring func(context.Context, cid.Cid) (blocks.Block, error) // gets a block that is not here; nil offline
	nodes *nodeCache
}

// block reads a block, and gets it here first if need be. Its bytes are not checked.
func (s *folders) block(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if err := allow(c); err != nil {
		return nil, err
	}
	b, err := s.local.Get(ctx, c)
	if format.IsNotFound(err) && s.bring != nil {
		b, err = s.bring(ctx, c)
	}
	return b, explain(err)
}

func (s *folders) node(ctx context.Context, c cid.Cid) (node, error) {
	b, err := s.block(ctx, c)
	if err != nil {
		return node{}, err
	}
	return parse(c, b.RawData())
}

// here is the same without an exchange.
func (s *folders) here() *folders { return &folders{local: s.local, nodes: s.nodes} }

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
	here := s.here()
	var count, bytes atomic.Int64
	links := func(ctx context.Context, c cid.Cid) ([]*format.Link, error) {
		size, err := s.local.GetSize(ctx, c)
		if err != nil {
			return nil, explain(err)
		}
		count.Add(1)
		bytes.Add(int64(size))
		return here.linksOf(ctx, c)
	}
	err = merkledag.Walk(ctx, links, root, cid.NewSet().Visit, merkledag.Concurrency(runtime.GOMAXPROCS(0)))
	if err != nil {
		return checkpoint.Usage{}, fmt.Errorf("verify %s: %w", id, err)
	}
	return checkpoint.Usage{Blocks: int(count.Load()), Bytes: bytes.Load()}, nil
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
