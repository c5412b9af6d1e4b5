package ipfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/skein-train/skein/checkpoint"
)

// Range is a part of a file, in bytes.
type Range struct{ Off, Len int64 }

// File is what the folders of this package open as files.
type File interface {
	fs.File
	// ReadAt may be called from any goroutine. What is not here is fetched, a block at a time; the blocks read last stay in
	// memory (Options.Cache).
	io.ReaderAt
	// Prefetch gets the blocks of these parts of the file here before they are read, up to 8 at a time. It returns when
	// they are here, or with the first error.
	Prefetch(ctx context.Context, parts []Range) error
}

var _ File = (*openFile)(nil)

// ReadAt implements io.ReaderAt.
func (r *openFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: r.name, Err: errors.New("negative offset")}
	}
	n := 0
	for n < len(p) && off < r.node.size {
		at, err := r.load(off)
		if err != nil {
			return n, &fs.PathError{Op: "read", Path: r.name, Err: err}
		}
		k := copy(p[n:], at.data[off-at.start:])
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// leaf is where a file's bytes lie.
type leaf struct {
	link
	start int64  // offset of its first byte in the file
	data  []byte // its bytes, once it was read
}

// load reads the leaf that holds a byte of the file. The last one is at hand, for many small reads in a row.
func (r *openFile) load(off int64) (*leaf, error) {
	if at := r.last.Load(); at != nil && off >= at.start && off-at.start < at.size {
		return at, nil
	}
	at, err := r.seek(r.f.ctx, off)
	if err != nil {
		return nil, err
	}
	n, err := r.f.from.child(r.f.ctx, at.link)
	if err != nil {
		return nil, err
	}
	at.data = n.data
	r.last.Store(&at)
	return &at, nil
}

// seek finds the leaf that holds a byte of the file, without reading it if it is raw.
func (r *openFile) seek(ctx context.Context, off int64) (leaf, error) {
	links, start := r.node.links, int64(0)
	for range maxDepth {
		next, ok := link{}, false
		for _, l := range links {
			if off-start < l.size {
				next, ok = l, true
				break
			}
			start += l.size
		}
		if !ok {
			break
		}
		if next.cid.Prefix().Codec == cid.Raw {
			return leaf{link: next, start: start}, nil
		}
		n, err := r.f.from.child(ctx, next)
		if err != nil {
			return leaf{}, err
		}
		if links = n.links; len(links) == 0 {
			return leaf{link: next, start: start}, nil
		}
	}
	return leaf{}, fmt.Errorf("%w: no block holds byte %d", checkpoint.ErrRefused, off)
}

// child reads the block that a link of a file leads to. Its size must be what its parent says.
func (s *folders) child(ctx context.Context, l link) (node, error) {
	n, err := s.cached(ctx, l.cid)
	if err == nil && (n.folder || n.size != l.size) {
		err = fmt.Errorf("%w: block %s does not fit into its file", checkpoint.ErrRefused, l.cid)
	}
	return n, err
}

// Prefetch implements File.
func (r *openFile) Prefetch(ctx context.Context, parts []Range) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(defaultWindow)
	seen := cid.NewSet()
	for _, part := range parts {
		end := min(part.Off+part.Len, r.node.size)
		for off := max(part.Off, 0); off < end && ctx.Err() == nil; {
			at, err := r.seek(ctx, off)
			if err != nil {
				return errors.Join(err, g.Wait())
			}
			if seen.Visit(at.cid) {
				g.Go(func() error { return r.f.from.get(ctx, at.cid) })
			}
			off = at.start + at.size
		}
	}
	if err := g.Wait(); err != nil {
		return &fs.PathError{Op: "prefetch", Path: r.name, Err: err}
	}
	return nil
}

// get makes sure that a block is here.
func (s *folders) get(ctx context.Context, c cid.Cid) error {
	have, err := s.local.Has(ctx, c)
	if err != nil || have {
		return err
	}
	_, err = s.node(ctx, c)
	return err
}
