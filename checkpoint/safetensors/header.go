package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sort"
)

// readHeader reads and checks everything before the values: sizes, names, types, and that the tensors lie end to end
// up to the end of the file. n is their number of values.
func readHeader(r io.Reader, size int64, max int) (tensors []Tensor, n int, err error) {
	var length [8]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, 0, fmt.Errorf("%w: length of the header: %w", ErrFormat, err)
	}
	bytes := binary.LittleEndian.Uint64(length[:])
	if bytes > MaxHeader || size < 8 || bytes > uint64(size-8) {
		return nil, 0, fmt.Errorf("%w: header of %d bytes in a file of %d, at most %d allowed", ErrFormat, bytes, size, MaxHeader)
	}
	head := make([]byte, bytes)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, 0, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	entries, err := parseHeader(head)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	data := size - 8 - int64(bytes)
	tensors, err = layOut(entries, data, max)
	return tensors, int(data / 4), err
}

// entry is one tensor as the header describes it.
type entry struct {
	name    string
	DType   string  `json:"dtype"`
	Shape   []int64 `json:"shape"`
	Offsets []int64 `json:"data_offsets"`
}

// parseHeader walks the outer object by hand, because encoding/json takes the last of two equal keys in silence.
func parseHeader(head []byte) ([]entry, error) {
	d := json.NewDecoder(bytes.NewReader(head))
	d.DisallowUnknownFields()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("no JSON object (%v)", err)
	}
	var out []entry
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string) // the decoder lets only strings be keys
		if seen[name] {
			return nil, fmt.Errorf("two entries are named %q", name)
		}
		seen[name] = true
		if name == "__metadata__" {
			var meta map[string]string
			if err := d.Decode(&meta); err != nil {
				return nil, fmt.Errorf("metadata: %w", err)
			}
			continue
		}
		e := entry{name: name}
		if err := d.Decode(&e); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		out = append(out, e)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if rest := head[d.InputOffset():]; len(bytes.Trim(rest, " ")) > 0 {
		return nil, fmt.Errorf("%d bytes after the object", len(rest))
	}
	return out, nil
}

// layOut puts the tensors into the order of their values, which must fill the bytes of data without gap or overlap.
func layOut(entries []entry, data int64, max int) ([]Tensor, error) {
	if data/4 > int64(max) {
		return nil, fmt.Errorf("%w: %d values, at most %d expected", ErrFormat, data/4, max)
	}
	for _, e := range entries {
		if e.DType != "F32" || len(e.Offsets) != 2 || len(e.Shape) > 8 {
			return nil, fmt.Errorf("%w: tensor %q: dtype %q, %d dimensions, %d offsets; only F32 is read here", ErrFormat, e.name, e.DType, len(e.Shape), len(e.Offsets))
		}
	}
	sort.SliceStable(entries, func(i, j int) bool { return entries[i].Offsets[0] < entries[j].Offsets[0] })
	at := int64(0)
	out := make([]Tensor, 0, len(entries))
	for _, e := range entries {
		n, shape, err := e.elements(data / 4)
		if err != nil {
			return nil, err
		}
		if e.Offsets[0] != at || e.Offsets[1] != at+4*n {
			return nil, fmt.Errorf("%w: tensor %q at %v, expected [%d %d]", ErrFormat, e.name, e.Offsets, at, at+4*n)
		}
		at += 4 * n
		out = append(out, Tensor{Name: e.name, Shape: shape})
	}
	if at != data {
		return nil, fmt.Errorf("%w: %d bytes belong to no tensor", ErrFormat, data-at)
	}
	return out, nil
}

// elements is the product of the shape, which must be positive and at most limit.
func (e entry) elements(limit int64) (int64, []int, error) {
	n, shape := int64(1), make([]int, len(e.Shape))
	for i, d := range e.Shape {
		if d < 1 || d > limit/n {
			return 0, nil, fmt.Errorf("%w: tensor %q: shape %v, the file has room for %d values", ErrFormat, e.name, e.Shape, limit)
		}
		n *= d
		shape[i] = int(d)
	}
	return n, shape, nil
}
