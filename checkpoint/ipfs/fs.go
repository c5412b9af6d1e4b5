package ipfs

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/skein-train/skein/checkpoint"
)

// folder is a checkpoint's folder as a file system.
type folder struct {
	ctx  context.Context
	from *folders
	root *entry
}

// entry is a file or a folder; it describes itself as fs.FileInfo and fs.DirEntry.
type entry struct {
	name     string
	node     node
	children []*entry
}

func (e *entry) Name() string               { return e.name }
func (e *entry) Size() int64                { return e.node.size }
func (e *entry) ModTime() time.Time         { return time.Time{} }
func (e *entry) IsDir() bool                { return e.node.folder }
func (e *entry) Sys() any                   { return nil }
func (e *entry) Type() fs.FileMode          { return e.Mode().Type() }
func (e *entry) Info() (fs.FileInfo, error) { return e, nil }
func (e *entry) String() string             { return fs.FormatDirEntry(e) }

func (e *entry) Mode() fs.FileMode {
	if e.node.folder {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// Open implements fs.FS.
func (f *folder) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	e := f.root
	for _, part := range strings.Split(name, "/") {
		if part == "." {
			continue
		}
		i := slices.IndexFunc(e.children, func(c *entry) bool { return c.name == part })
		if i < 0 {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		e = e.children[i]
	}
	if e.node.folder {
		return &openFolder{entry: e, rest: e.children}, nil
	}
	return &openFile{entry: e, f: f, stack: [][]link{e.node.links}, left: e.node.size}, nil
}

type openFolder struct {
	*entry
	rest []*entry
}

func (d *openFolder) Stat() (fs.FileInfo, error) { return d.entry, nil }
func (d *openFolder) Close() error               { return nil }
func (d *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: fs.ErrInvalid}
}

// ReadDir implements fs.ReadDirFile.
func (d *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(d.rest) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.rest) {
		n = len(d.rest)
	}
	out := make([]fs.DirEntry, n)
	for i, e := range d.rest[:n] {
		out[i] = e
	}
	d.rest = d.rest[n:]
	return out, nil
}

// openFile walks a file's tree from left to right, one block at a time.
type openFile struct {
	*entry
	f     *folder
	stack [][]link // what is still to be read, per level
	leaf  []byte   // what is left of the current leaf
	left  int64    // bytes to the end of the file

	last atomic.Pointer[leaf] // what ReadAt read
}

func (r *openFile) Stat() (fs.FileInfo, error) { return r.entry, nil }
func (r *openFile) Close() error               { return nil }

func (r *openFile) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	for len(r.leaf) == 0 {
		if err := r.advance(); err != nil {
			return 0, &fs.PathError{Op: "read", Path: r.name, Err: err}
		}
	}
	n := copy(p, r.leaf)
	r.leaf = r.leaf[n:]
	r.left -= int64(n)
	return n, nil
}

// advance reads the next block. Its size must be what its parent says, so that exactly left bytes are to come.
func (r *openFile) advance() error {
	top := len(r.stack) - 1
	if len(r.stack[top]) == 0 {
		r.stack = r.stack[:top]
		return nil
	}
	next := r.stack[top][0]
	r.stack[top] = r.stack[top][1:]
	n, err := r.f.from.node(r.f.ctx, next.cid)
	if err != nil {
		return err
	}
	if n.folder || n.size != next.size || len(r.stack) > maxDepth {
		return fmt.Errorf("%w: block %s does not fit into its file", checkpoint.ErrRefused, next.cid)
	}
	if len(n.links) > 0 {
		r.stack = append(r.stack, n.links)
	}
	r.leaf = n.data
	return nil
}
