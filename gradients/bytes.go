package gradients

import (
	"encoding/binary"
	"fmt"
	"hash"
	"math"
)

// AppendBytes appends v as little-endian float32, on every machine, and returns the longer slice.
func AppendBytes(dst []byte, v Vec) []byte {
	at := len(dst)
	dst = grow(dst, 4*len(v))
	put(dst[at:], v)
	return dst
}

// HashInto writes the bytes of AppendBytes to h through a small buffer.
func HashInto(h hash.Hash, v Vec) {
	var buf [16 << 10]byte
	for len(v) > 0 {
		n := min(len(v), len(buf)/4)
		put(buf[:4*n], v[:n])
		h.Write(buf[:4*n]) // a hash.Hash never returns an error
		v = v[n:]
	}
}

// Decode fills dst from the bytes of AppendBytes. It refuses any other size than 4·len(dst) and takes every bit
// pattern: call Finite on vectors from elsewhere.
func Decode(dst Vec, src []byte) error {
	if len(src) != 4*len(dst) {
		return fmt.Errorf("vector of %d values: got %d bytes, expected %d", len(dst), len(src), 4*len(dst))
	}
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i : 4*i+4]))
	}
	return nil
}

// put writes v to dst, which has room for it.
func put(dst []byte, v Vec) {
	for i, x := range v {
		binary.LittleEndian.PutUint32(dst[4*i:4*i+4], math.Float32bits(x))
	}
}

// grow appends n bytes of any content to dst, for the caller to overwrite.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst[:len(dst)+n]
	}
	longer := make([]byte, len(dst)+n)
	copy(longer, dst)
	return longer
}
