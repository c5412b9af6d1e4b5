package snapshot

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/skein-train/skein/gradients"
)

const (
	magic     = "SKS1"
	version   = 1
	startSize = 32
	endSize   = 4
	chunk     = 256 << 10 // bytes that are converted at a time; a multiple of 4

	// MaxHeader bounds the caller's header, in bytes.
	MaxHeader = 16 << 20
	// MaxVectors bounds the number of vectors.
	MaxVectors = 1 << 16
)

// start is the fixed first part of a file.
type start struct {
	number, size    uint64
	header, vectors uint32
}

func (s start) bytes() []byte {
	b := append(make([]byte, 0, startSize), magic...)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint64(b, s.number)
	b = binary.LittleEndian.AppendUint64(b, s.size)
	b = binary.LittleEndian.AppendUint32(b, s.header)
	return binary.LittleEndian.AppendUint32(b, s.vectors)
}

// readStart reads the start of a file of the given size and checks what it claims against that size.
func readStart(r io.Reader, size int64) (start, error) {
	var b [startSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return start{}, fmt.Errorf("%w: start: %w", ErrDamaged, err)
	}
	s := start{
		number:  binary.LittleEndian.Uint64(b[8:]),
		size:    binary.LittleEndian.Uint64(b[16:]),
		header:  binary.LittleEndian.Uint32(b[24:]),
		vectors: binary.LittleEndian.Uint32(b[28:]),
	}
	fixed := uint64(startSize) + uint64(s.header) + 8*uint64(s.vectors) + endSize
	switch {
	case !bytes.Equal(b[:8], start{}.bytes()[:8]):
		return start{}, fmt.Errorf("%w: no snapshot of version %d", ErrDamaged, version)
	case s.number == 0 || s.header > MaxHeader || s.vectors > MaxVectors:
		return start{}, fmt.Errorf("%w: number %d, header of %d bytes, %d vectors", ErrDamaged, s.number, s.header, s.vectors)
	case size < 0 || s.size != uint64(size) || s.size < fixed:
		return start{}, fmt.Errorf("%w: %d bytes, its start says %d", ErrDamaged, size, s.size)
	}
	return s, nil
}

// encode writes a whole file and returns its size in bytes.
func encode(w io.Writer, number uint64, header []byte, vecs []gradients.Vec) (int64, error) {
	if len(header) > MaxHeader || len(vecs) > MaxVectors {
		return 0, fmt.Errorf("header of %d bytes and %d vectors, at most %d and %d allowed", len(header), len(vecs), MaxHeader, MaxVectors)
	}
	size := uint64(startSize + len(header) + 8*len(vecs) + endSize)
	for _, v := range vecs {
		size += 4 * uint64(len(v))
	}
	lead := start{number: number, size: size, header: uint32(len(header)), vectors: uint32(len(vecs))}.bytes()
	lead = append(lead, header...)
	for _, v := range vecs {
		lead = binary.LittleEndian.AppendUint64(lead, uint64(len(v)))
	}
	sum := newSum()
	both := io.MultiWriter(sum, w)
	if _, err := both.Write(lead); err != nil {
		return 0, err
	}
	buf := make([]byte, 0, chunk)
	for _, v := range vecs {
		for len(v) > 0 {
			n := min(len(v), chunk/4)
			if _, err := both.Write(gradients.AppendBytes(buf, v[:n])); err != nil {
				return 0, err
			}
			v = v[n:]
		}
	}
	_, err := w.Write(sum.Sum(nil))
	return int64(size), err
}

// newSum is CRC-32C. It finds what a crash or a bad disk does; whoever could forge the file could forge any digest in it
// too, and a SHA-256 would cost more than the disk on processors without instructions for it.
func newSum() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

// decode reads a file of the given size. Nothing is allocated for vectors beyond that size. Without keep the vectors are
// checked and dropped.
func decode(r io.Reader, size int64, keep bool) (*Snapshot, error) {
	s, err := readStart(r, size)
	if err != nil {
		return nil, err
	}
	lead := make([]byte, int(s.header)+8*int(s.vectors))
	if _, err := io.ReadFull(r, lead); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	lengths, err := s.lengths(lead[s.header:])
	if err != nil {
		return nil, err
	}
	sum := newSum()
	sum.Write(s.bytes()) // a hash.Hash never returns an error
	sum.Write(lead)
	out := &Snapshot{Number: s.number, Header: lead[:s.header:s.header]}
	buf := make([]byte, min(chunk, size))
	for _, n := range lengths {
		v, err := readVector(io.TeeReader(r, sum), n, buf, keep)
		if err != nil {
			return nil, err
		}
		out.Vectors = append(out.Vectors, v)
	}
	var end [endSize]byte
	if _, err := io.ReadFull(r, end[:]); err != nil {
		return nil, fmt.Errorf("%w: checksum: %w", ErrDamaged, err)
	}
	if !bytes.Equal(end[:], sum.Sum(nil)) {
		return nil, fmt.Errorf("%w: its checksum does not fit", ErrDamaged)
	}
	return out, nil
}

// lengths reads the vectors' lengths, which must add up to the file's size.
func (s start) lengths(b []byte) ([]int, error) {
	left := s.size - startSize - uint64(s.header) - uint64(len(b)) - endSize
	var out []int
	for ; len(b) > 0; b = b[8:] {
		n := binary.LittleEndian.Uint64(b)
		if n > left/4 {
			return nil, fmt.Errorf("%w: vector %d of %d values, %d bytes are left", ErrDamaged, len(out), n, left)
		}
		left -= 4 * n
		out = append(out, int(n))
	}
	if left != 0 {
		return nil, fmt.Errorf("%w: %d bytes belong to no vector", ErrDamaged, left)
	}
	return out, nil
}

func readVector(r io.Reader, n int, buf []byte, keep bool) (gradients.Vec, error) {
	var v gradients.Vec
	if keep {
		v = make(gradients.Vec, n)
	}
	for at := 0; at < n; {
		part := buf[:min(len(buf)/4, n-at)*4]
		if _, err := io.ReadFull(r, part); err != nil {
			return nil, fmt.Errorf("%w: vector: %w", ErrDamaged, err)
		}
		next := at + len(part)/4
		if keep {
			if err := gradients.Decode(v[at:next], part); err != nil {
				return nil, err
			}
		}
		at = next
	}
	return v, nil
}
