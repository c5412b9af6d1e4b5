package gradients

import (
	"encoding/binary"
	"fmt"
)

// The header in front of every payload's body; docs/wire.md has the table.
const (
	headerSize   = 16
	magic        = "SKPG" // Skein pseudo-gradient
	frameVersion = 1
	flagPacked   = 1 << 0 // the body went through the zstd stage
)

// frame puts the header in front of a body, and opens it again.
type frame struct {
	id      byte    // how the values are written
	what    byte    // what is sent
	n       int     // elements of the fragment
	maxBody int     // bytes of the largest body, unpacked
	pack    *packer // nil: bodies travel as they are, and packed ones are refused
}

// parcel is a parsed payload.
type parcel struct {
	body   []byte
	packed bool
	size   int // bytes of the body once unpacked, at most maxBody
}

func (f frame) appendHeader(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, frameVersion, f.id, 0, f.what)
	return binary.LittleEndian.AppendUint64(dst, uint64(f.n))
}

// seal finishes a payload whose body is dst[at:], right behind its header: the body is packed where that is shorter.
func (f frame) seal(dst []byte, at int) []byte {
	if f.pack == nil {
		return dst
	}
	packed := f.pack.pack(dst[at:])
	if len(packed) >= len(dst)-at {
		return dst
	}
	dst[at-headerSize+6] |= flagPacked
	return append(dst[:at], packed...)
}

// parse reads the header and the declared size. It allocates nothing.
func (f frame) parse(src []byte) (parcel, error) {
	if len(src) < headerSize || len(src) > headerSize+f.maxBody {
		return parcel{}, fmt.Errorf("%w: %d bytes, expected %d to %d", ErrCorrupt, len(src), headerSize, headerSize+f.maxBody)
	}
	n := binary.LittleEndian.Uint64(src[8:])
	switch {
	case string(src[:4]) != magic:
		return parcel{}, fmt.Errorf("%w: magic % x, expected %q", ErrCorrupt, src[:4], magic)
	case src[4] != frameVersion:
		return parcel{}, fmt.Errorf("%w: version %d, this program reads %d", ErrCorrupt, src[4], frameVersion)
	case src[5] != f.id || src[7] != f.what:
		return parcel{}, fmt.Errorf("%w: codec %d of %d, expected %d of %d", ErrCorrupt, src[5], src[7], f.id, f.what)
	case src[6]&^flagPacked != 0:
		return parcel{}, fmt.Errorf("%w: unknown flags %#02x", ErrCorrupt, src[6])
	case n != uint64(f.n):
		return parcel{}, fmt.Errorf("%w: %d elements, expected %d", ErrCorrupt, n, f.n)
	}
	p := parcel{body: src[headerSize:], packed: src[6] == flagPacked}
	p.size = len(p.body)
	if !p.packed {
		return p, nil
	}
	if f.pack == nil {
		return parcel{}, fmt.Errorf("%w: body is packed, but the codec is not a +zstd one", ErrCorrupt)
	}
	size, err := f.pack.size(p.body)
	if err != nil {
		return parcel{}, err
	}
	if size > uint64(f.maxBody) {
		return parcel{}, fmt.Errorf("%w: packed body declares %d bytes, the most is %d", ErrCorrupt, size, f.maxBody)
	}
	p.size = int(size)
	return p, nil
}

// open returns the body, unpacked into *buf where needed.
func (f frame) open(p parcel, buf *[]byte) ([]byte, error) {
	if !p.packed {
		return p.body, nil
	}
	return f.pack.unpack(p.body, p.size, buf)
}
