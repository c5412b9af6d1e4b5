package ipfs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ipfs/boxo/blockstore"
	chunker "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/files"
	"github.com/ipfs/boxo/filestore"
	"github.com/ipfs/boxo/filestore/posinfo"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	format "github.com/ipfs/go-ipld-format"

	"github.com/skein-train/skein/checkpoint"
)

// AddDir adds files of a folder on disk as a folder here, like Add, but the store holds references to the files instead of a
// second copy of them: they must stay where they are, and as they are. A block whose file was changed is not
// served; reading it gives checkpoint.ErrCorrupt. Files are slash-separated paths below dir, and the CID is that of Add.
//
// Once it is done it is remembered under the name: another call with the same name and files of the same sizes and times
// reads nothing, and one with other files takes the place of the first.
func (s *Store) AddDir(ctx context.Context, name, dir string, paths []string) (id string, err error) {
	now, err := look(dir, paths)
	if err != nil {
		return "", fmt.Errorf("add %s: %w", name, err)
	}
	then, err := s.remembered(ctx, name)
	if err != nil {
		return "", fmt.Errorf("add %s: %w", name, err)
	}
	if then.same(now) && s.isPinned(ctx, then.CID) {
		return then.CID, nil
	}
	root, err := s.addReferences(ctx, now)
	if err != nil {
		return "", fmt.Errorf("add %s: %w", name, explain(err))
	}
	now.CID = root.String()
	// What is remembered must be what was read.
	if after, err := look(dir, paths); err != nil || !after.same(now) {
		return "", errors.Join(err, fmt.Errorf("add %s: a file in %s was changed meanwhile; try again", name, dir))
	}
	defer s.local.PinLock(ctx).Unlock(ctx)
	if err := s.pin(ctx, root, name); err != nil {
		return "", err
	}
	if err := s.remember(ctx, name, now); err != nil {
		return "", fmt.Errorf("add %s: %w", name, err)
	}
	if then.CID != "" && then.CID != now.CID {
		return now.CID, s.Unpin(ctx, then.CID)
	}
	return now.CID, nil
}

// listing is what AddDir saw on disk, as JSON in the store's metadata.
type listing struct {
	CID   string
	Dir   string
	Files []listed
}

type listed struct {
	Path     string
	Bytes    int64
	Modified int64 // ns since 1970
}

func (l listing) same(o listing) bool { return l.Dir == o.Dir && slices.Equal(l.Files, o.Files) }

func look(dir string, paths []string) (listing, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return listing{}, err
	}
	out := listing{Dir: dir}
	for _, p := range paths {
		if !fs.ValidPath(p) || p == "." {
			return listing{}, fmt.Errorf("file name %q is invalid", p)
		}
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(p)))
		if err != nil {
			return listing{}, err
		}
		if !info.Mode().IsRegular() {
			return listing{}, fmt.Errorf("%s is no file", p)
		}
		out.Files = append(out.Files, listed{p, info.Size(), info.ModTime().UnixNano()})
	}
	slices.SortFunc(out.Files, func(a, b listed) int { return cmp.Compare(a.Path, b.Path) })
	return out, nil
}

func listingKey(name string) datastore.Key {
	return datastore.NewKey("/added").ChildString(fmt.Sprintf("%x", name))
}

func (s *Store) remembered(ctx context.Context, name string) (l listing, err error) {
	b, err := s.data.Get(ctx, listingKey(name))
	if errors.Is(err, datastore.ErrNotFound) {
		return listing{}, nil
	}
	if err != nil {
		return listing{}, err
	}
	return l, json.Unmarshal(b, &l)
}

func (s *Store) remember(ctx context.Context, name string, l listing) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if err := s.data.Put(ctx, listingKey(name), b); err != nil {
		return explain(err)
	}
	return explain(s.data.Sync(ctx, listingKey(name)))
}

func (s *Store) isPinned(ctx context.Context, id string) bool {
	pins, err := s.Pins(ctx)
	return err == nil && slices.ContainsFunc(pins, func(p checkpoint.Pin) bool { return p.CID == id })
}

// addReferences stores the branches, and references to the leaves. Under the lock no collection can take them.
func (s *Store) addReferences(ctx context.Context, l listing) (cid.Cid, error) {
	defer s.local.PinLock(ctx).Unlock(ctx)
	batch := format.NewBufferedDAG(ctx, references{blocks: s.local, leaves: s.references})
	nodes := map[string]format.Node{}
	for _, f := range l.Files {
		n, err := addReference(ctx, batch, filepath.Join(l.Dir, filepath.FromSlash(f.Path)))
		if err != nil {
			return cid.Undef, err
		}
		nodes[f.Path] = n
	}
	root, err := addTree(ctx, batch, nodes)
	if err != nil {
		return cid.Undef, err
	}
	return root.Cid(), batch.Commit()
}

func addReference(ctx context.Context, dag format.DAGService, path string) (format.Node, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	placed, err := files.NewReaderPathFile(path, readCloser{contextReader{ctx, f}, f}, info)
	if err != nil {
		return nil, err
	}
	params := dagParams(dag)
	params.NoCopy = true
	return layout(params, chunker.NewSizeSplitter(placed, ChunkSize))
}

type readCloser struct {
	contextReader
	*os.File
}

func (r readCloser) Read(p []byte) (int, error) { return r.contextReader.Read(p) }

// references stores what AddDir makes. A reference takes the place of an older one, whose file may be gone.
type references struct {
	format.DAGService // of which building a folder needs no more than Add and AddMany
	blocks            blockstore.Blockstore
	leaves            *filestore.FileManager
}

func (r references) Add(ctx context.Context, n format.Node) error {
	return r.AddMany(ctx, []format.Node{n})
}

func (r references) AddMany(ctx context.Context, all []format.Node) error {
	var leaves []*posinfo.FilestoreNode
	for _, n := range all {
		if leaf, ok := n.(*posinfo.FilestoreNode); ok {
			leaves = append(leaves, leaf)
			continue
		}
		if err := r.blocks.Put(ctx, n); err != nil {
			return err
		}
	}
	if len(leaves) == 0 {
		return nil
	}
	return r.leaves.PutMany(ctx, leaves)
}
