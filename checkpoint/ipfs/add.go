package ipfs

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	chunker "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"

	"github.com/skein-train/skein/checkpoint"
)

// ChunkSize is the size in bytes of a leaf.
const ChunkSize = 256 << 10

// builder makes the CIDs of everything that is no leaf.
var builder = cid.V1Builder{Codec: cid.DagProtobuf, MhType: multihash.SHA2_256}

// Add implements checkpoint.Store.
func (s *Store) Add(ctx context.Context, name string, files []checkpoint.File) (string, error) {
	defer s.local.PinLock(ctx).Unlock(ctx)
	batch := format.NewBufferedDAG(ctx, s.dag)
	root, err := addFolder(ctx, batch, files)
	if err != nil {
		return "", fmt.Errorf("add %s: %w", name, explain(err))
	}
	if err := batch.Commit(); err != nil {
		return "", fmt.Errorf("add %s: %w", name, explain(err))
	}
	return root.String(), s.pin(ctx, root, name)
}

func addFolder(ctx context.Context, dag format.DAGService, files []checkpoint.File) (cid.Cid, error) {
	nodes := map[string]format.Node{} // by path
	for _, f := range files {
		if !fs.ValidPath(f.Path) || f.Path == "." || nodes[f.Path] != nil {
			return cid.Undef, fmt.Errorf("file name %q is invalid or used twice", f.Path)
		}
		n, err := addFile(ctx, dag, f)
		if err != nil {
			return cid.Undef, fmt.Errorf("%s: %w", f.Path, err)
		}
		nodes[f.Path] = n
	}
	root, err := addTree(ctx, dag, nodes)
	if err != nil {
		return cid.Undef, err
	}
	return root.Cid(), nil
}

func addFile(ctx context.Context, dag format.DAGService, f checkpoint.File) (format.Node, error) {
	return layout(dagParams(dag), chunker.NewSizeSplitter(contextReader{ctx, f.Data}, ChunkSize))
}

// dagParams are those of `ipfs add --cid-version=1 --raw-leaves`.
func dagParams(dag format.DAGService) helpers.DagBuilderParams {
	return helpers.DagBuilderParams{
		Maxlinks:   helpers.DefaultLinksPerBlock,
		RawLeaves:  true,
		CidBuilder: builder,
		Dagserv:    dag,
	}
}

func layout(params helpers.DagBuilderParams, chunks chunker.Splitter) (format.Node, error) {
	b, err := params.New(chunks)
	if err != nil {
		return nil, err
	}
	return balanced.Layout(b)
}

// addTree links files into folders, the innermost first.
func addTree(ctx context.Context, dag format.DAGService, nodes map[string]format.Node) (*merkledag.ProtoNode, error) {
	folders := map[string]*merkledag.ProtoNode{".": newFolder()}
	for p := range nodes {
		for d := path.Dir(p); d != "."; d = path.Dir(d) {
			if nodes[d] != nil {
				return nil, fmt.Errorf("%q is a file and a folder", d)
			}
			folders[d] = newFolder()
		}
	}
	link := func(p string, n format.Node) error { return folders[path.Dir(p)].AddNodeLink(path.Base(p), n) }
	for p, n := range nodes {
		if err := link(p, n); err != nil {
			return nil, err
		}
	}
	var inner []string
	for p := range folders {
		inner = append(inner, p)
	}
	slices.Sort(inner) // a folder sorts before what it holds
	for _, p := range slices.Backward(inner) {
		if p == "." {
			continue
		}
		if err := dag.Add(ctx, folders[p]); err != nil {
			return nil, err
		}
		if err := link(p, folders[p]); err != nil {
			return nil, err
		}
	}
	return folders["."], dag.Add(ctx, folders["."])
}

func newFolder() *merkledag.ProtoNode {
	n := unixfs.EmptyDirNode()
	n.SetCidBuilder(builder) // fails for unknown hashes only
	return n
}

// contextReader stops reading once the context is over.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
