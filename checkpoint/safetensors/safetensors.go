// Package safetensors reads and writes float32 tensors in the safetensors format, version 0.x as Hugging Face documents
// it: the length of the header as uint64, a JSON header, and the values end to end, all little-endian.
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/skein-train/skein/gradients"
)

// ErrFormat is wrapped by every error about bytes that are no file of float32 tensors.
var ErrFormat = errors.New("safetensors")

// MaxHeader bounds the header in bytes: room for more than 100,000 tensors.
const MaxHeader = 16 << 20

// Tensor is a named float32 tensor with its values.
type Tensor struct {
	Name   string
	Shape  []int // row-major, outermost first
	Values gradients.Vec
}

// len is the number of values that the shape asks for.
func (t Tensor) len() int { return gradients.Tensor{Shape: t.Shape}.Len() }

// Reader returns the bytes of a file with the tensors in the given order, and their number. Same tensors, same bytes.
// The values are converted as they are read and must not change until then.
func Reader(tensors []Tensor) (r io.Reader, size int64, err error) {
	head, err := encodeHeader(tensors)
	if err != nil {
		return nil, 0, err
	}
	parts, size := []io.Reader{bytes.NewReader(head)}, int64(len(head))
	for _, t := range tensors {
		parts = append(parts, &values{v: t.Values})
		size += 4 * int64(len(t.Values))
	}
	return io.MultiReader(parts...), size, nil
}

// encodeHeader pads with spaces so that the values start at a multiple of 8 bytes.
func encodeHeader(tensors []Tensor) ([]byte, error) {
	b := append(make([]byte, 8), `{"__metadata__":{"format":"pt"}`...)
	at := 0
	for _, t := range tensors {
		if t.len() != len(t.Values) {
			return nil, fmt.Errorf("safetensors: tensor %s of shape %v has %d values", t.Name, t.Shape, len(t.Values))
		}
		name, err := json.Marshal(t.Name)
		if err != nil {
			return nil, err
		}
		shape, err := json.Marshal(t.Shape)
		if err != nil {
			return nil, err
		}
		next := at + 4*len(t.Values)
		b = fmt.Appendf(b, `,%s:{"dtype":"F32","shape":%s,"data_offsets":[%d,%d]}`, name, shape, at, next)
		at = next
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	if len(b)-8 > MaxHeader {
		return nil, fmt.Errorf("safetensors: header of %d bytes, at most %d allowed", len(b)-8, MaxHeader)
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b, nil
}

// values reads a vector as bytes.
type values struct {
	v    gradients.Vec
	rest []byte // of a value that did not fit into the last read
}

func (r *values) Read(p []byte) (int, error) {
	if len(r.rest) == 0 && len(r.v) == 0 {
		return 0, io.EOF
	}
	if len(r.rest) > 0 || len(p) < 4 {
		if len(r.rest) == 0 {
			r.rest, r.v = gradients.AppendBytes(nil, r.v[:1]), r.v[1:]
		}
		n := copy(p, r.rest)
		r.rest = r.rest[n:]
		return n, nil
	}
	n := min(len(p)/4, len(r.v))
	gradients.AppendBytes(p[:0], r.v[:n])
	r.v = r.v[n:]
	return 4 * n, nil
}

// Read reads a file of exactly size bytes from r. At most max values are allocated, and never more than size holds.
// Tensors come back in the order of their values and share the memory of all, the values end to end. Any float32 bit
// pattern is accepted.
func Read(r io.Reader, size int64, max int) (tensors []Tensor, all gradients.Vec, err error) {
	tensors, n, err := readHeader(r, size, max)
	if err != nil {
		return nil, nil, err
	}
	all = make(gradients.Vec, n)
	if err := readValues(r, all); err != nil {
		return nil, nil, fmt.Errorf("%w: values: %w", ErrFormat, err)
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n > 0 || err != io.EOF {
		return nil, nil, fmt.Errorf("%w: the file does not end after %d bytes", ErrFormat, size)
	}
	at := 0
	for i := range tensors {
		next := at + tensors[i].len()
		tensors[i].Values = all[at:next:next]
		at = next
	}
	return tensors, all, nil
}

func readValues(r io.Reader, v gradients.Vec) error {
	buf := make([]byte, 256<<10)
	for len(v) > 0 {
		n := min(len(buf)/4, len(v))
		if _, err := io.ReadFull(r, buf[:4*n]); err != nil {
			return err
		}
		if err := gradients.Decode(v[:n], buf[:4*n]); err != nil {
			return err
		}
		v = v[n:]
	}
	return nil
}
