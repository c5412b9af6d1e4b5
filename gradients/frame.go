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
	flagPacked   = 1 << 0 // the values went through the zstd stage
)

// frame puts the header in front of a body, and opens it again. A body is a head, which says what the values stand for, and
// the values.
type frame struct {
	id     byte    // how the values are written
	what   byte    // what is sent
	n      int     // elements of the fragment
	head   [2]int  // bytes of the shortest and the longest head
	values int     // bytes of the values
	pack   *packer // nil: values travel as they are, and packed ones are refused
}

// parcel is a parsed payload.
type parcel struct {
	head, values []byte
	packed       bool
}

// maxSize is the length of the longest payload.
func (f frame) maxSize() int { return headerSize + f.head[1] + f.values }

func (f frame) appendHeader(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, frameVersion, f.id, 0, f.what)
	return binary.LittleEndian.AppendUint64(dst, uint64(f.n))
}

// seal finishes a payload: behind its header at dst[at:] are the head and the values, which are packed where that is shorter.
func (f frame) seal(dst []byte, at int) []byte {
	if f.pack == nil {
		return dst
	}
	values := len(dst) - f.values
	packed := f.pack.pack(dst[values:])
	if len(packed)+f.prefix() >= f.values {
		return dst
	}
	dst[at-headerSize+6] |= flagPacked
	if f.prefix() > 0 {
		copy(dst[at+f.prefix():], dst[at:values])
		binary.LittleEndian.PutUint32(dst[at:], uint32(values-at))
	}
	return append(dst[:values+f.prefix()], packed...)
}

// prefix is the size of a packed body's first field, the length of the head; where there never is a head there is none.
func (f frame) prefix() int {
	if f.head[1] == 0 {
		return 0
	}
	return 4
}

// parse reads the header and takes the body apart. It allocates nothing.
func (f frame) parse(src []byte) (parcel, error) {
	if len(src) < headerSize || len(src) > f.maxSize() {
		return parcel{}, fmt.Errorf("%w: %d bytes, expected %d to %d", ErrCorrupt, len(src), headerSize, f.maxSize())
	}
	n := binary.LittleEndian.Uint64(src[8:])
	switch {
	case string(src[:4]) != magic:
		return parcel{}, fmt.Errorf("%w: magic % x, expected %q", ErrCorrupt, src[:4], magic)
	case src[4] != frameVersion:
		return parcel{}, fmt.Errorf("%w: version %d, this program reads %d", ErrCorrupt, src[4], frameVersion)
	case src[5] != f.id || src[7] != f.what:
		return parcel{}, fmt.Errorf("%w: values %d of %d, expected %d of %d", ErrCorrupt, src[5], src[7], f.id, f.what)
	case src[6]&^flagPacked != 0:
		return parcel{}, fmt.Errorf("%w: unknown flags %#02x", ErrCorrupt, src[6])
	case n != uint64(f.n):
		return parcel{}, fmt.Errorf("%w: %d elements, expected %d", ErrCorrupt, n, f.n)
	}
	body, at := src[headerSize:], len(src)-headerSize-f.values
	packed := src[6] == flagPacked
	if packed {
		if f.pack == nil {
			return parcel{}, fmt.Errorf("%w: values are packed, but the codec is not a +zstd one", ErrCorrupt)
		}
		if at = 0; f.prefix() > 0 && len(body) >= f.prefix() {
			at = int(min(binary.LittleEndian.Uint32(body), 1<<31-1))
			body = body[f.prefix():]
		}
	}
	if at < f.head[0] || at > min(f.head[1], len(body)) {
		return parcel{}, fmt.Errorf("%w: head of %d bytes, expected %d to %d and values of %d", ErrCorrupt, at, f.head[0], f.head[1], f.values)
	}
	p := parcel{head: body[:at], values: body[at:], packed: packed}
	if !packed {
		return p, nil
	}
	size, err := f.pack.size(p.values)
	if err == nil && size != uint64(f.values) {
		err = fmt.Errorf("%w: packed values declare %d bytes, expected %d", ErrCorrupt, size, f.values)
	}
	return p, err
}

// open returns the values, unpacked into *buf where needed.
func (f frame) open(p parcel, buf *[]byte) ([]byte, error) {
	if !p.packed {
		return p.values, nil
	}
	return f.pack.unpack(p.values, f.values, buf)
}
