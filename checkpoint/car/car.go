// Package car writes checkpoints as CAR files, version 1 (https://ipld.io/specs/transport/car/carv1/): all the blocks of a
// folder in one file, which `ipfs dag import` and pinning services read.
package car

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"

	"github.com/skein-train/skein/internal/durable"
)

// Blocks hands out the blocks of a folder as package ipfs does: its binary CID and its bytes, which match; each once,
// parents before what they link to, depth first in the order of the links.
type Blocks interface {
	Walk(ctx context.Context, cid string, visit func(cid, block []byte) error) error
}

// Progress is told how many bytes of blocks are written; it may be nil.
type Progress func(bytes int64)

// Write writes the folder of a CID. Same folder, same bytes: those of `ipfs dag export`.
func Write(ctx context.Context, w io.Writer, from Blocks, id string, done Progress) error {
	root, err := cid.Decode(id)
	if err != nil {
		return fmt.Errorf("%q is no CID: %w", id, err)
	}
	if err := writeSection(w, header(root)); err != nil {
		return err
	}
	var written int64
	return from.Walk(ctx, id, func(cid, block []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeSection(w, cid, block); err != nil {
			return err
		}
		if written += int64(len(block)); done != nil {
			done(written)
		}
		return nil
	})
}

// writeSection writes the parts behind the length of both together.
func writeSection(w io.Writer, parts ...[]byte) error {
	var total uint64
	for _, p := range parts {
		total += uint64(len(p))
	}
	if _, err := w.Write(binary.AppendUvarint(nil, total)); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// header is {"roots": [root], "version": 1} in DAG-CBOR, where a link is tag 42 around the CID's bytes behind a zero.
func header(root cid.Cid) []byte {
	link := root.Bytes()
	out := append([]byte{0xa2, 0x65}, "roots"...)
	out = append(out, 0x81, 0xd8, 42, 0x58, byte(1+len(link)), 0)
	out = append(out, link...)
	out = append(out, 0x67)
	return append(append(out, "version"...), 1)
}

// Export is Write into a file, which must not exist. It appears whole or not at all.
func Export(ctx context.Context, from Blocks, id, path string, done Progress) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s is there already: remove it or choose another name", path)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	aside, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(aside.Name()))
		}
	}()
	out := bufio.NewWriterSize(aside, 1<<20)
	err = Write(ctx, out, from, id, done)
	if err = errors.Join(err, out.Flush(), aside.Chmod(0o644), aside.Sync(), aside.Close()); err != nil {
		return err
	}
	if err := os.Rename(aside.Name(), path); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}
