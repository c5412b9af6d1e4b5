package gradients

import (
	"encoding/binary"
	"fmt"
	"math"
)

// int8Format sends each block as its largest magnitude s and codes −127…127 for x/s. The body is all scales
// (float32), then all codes.
type int8Format struct{ ends []int } // of the blocks

func newInt8(groups []int) format { return int8Format{blocksOf(groups)} }

func (f int8Format) size() int { return 4*len(f.ends) + f.ends[len(f.ends)-1] }

// split cuts a body into scales and codes.
func (f int8Format) split(body []byte) (scales, codes []byte) {
	n := 4 * len(f.ends)
	return body[:n], body[n:]
}

func (f int8Format) encode(body []byte, v Vec) {
	scales, codes := f.split(body)
	lo := 0
	for b, hi := range f.ends {
		s := absMax(v[lo:hi])
		binary.LittleEndian.PutUint32(scales[4*b:], math.Float32bits(s))
		quantise(codes[lo:hi], v[lo:hi], s)
		lo = hi
	}
}

// quantise writes round(x/s·127), ties to even.
func quantise(codes []byte, v Vec, s float32) {
	if s == 0 {
		clear(codes)
		return
	}
	codes = codes[:len(v)]
	for i, x := range v {
		codes[i] = byte(roundBits(float32(x/s) * 127))
	}
}

func (f int8Format) check(body []byte) error {
	scales, codes := f.split(body)
	if hasByte(codes, 0x80) {
		return fmt.Errorf("%w: int8: a code is -128", ErrCorrupt)
	}
	lo := 0
	for b, hi := range f.ends {
		s := binary.LittleEndian.Uint32(scales[4*b:])
		if s > maxBits { // a sign makes it larger still
			return fmt.Errorf("%w: int8: scale of block %d is negative, not finite or above 2^64", ErrCorrupt, b)
		}
		if s == 0 && !allZero(codes[lo:hi]) {
			return fmt.Errorf("%w: int8: block %d has codes but no scale", ErrCorrupt, b)
		}
		lo = hi
	}
	return nil
}

func (f int8Format) add(acc Vec, weight float32, body []byte) {
	scales, codes := f.split(body)
	lo := 0
	for b, hi := range f.ends {
		s := math.Float32frombits(binary.LittleEndian.Uint32(scales[4*b:]))
		dequantise(acc[lo:hi], weight, s/127, codes[lo:hi])
		lo = hi
	}
}

// dequantise adds weight · (code·step), rounded after each product.
func dequantise(acc Vec, weight, step float32, codes []byte) {
	codes = codes[:len(acc)]
	for i := range acc {
		x := float32(float32(int8(codes[i])) * step)
		acc[i] += float32(weight * x)
	}
}

// hasByte looks for one value, eight bytes at a time: a byte equal to c becomes zero, and only a zero byte (or one
// above it, after a true hit) borrows into its top bit.
func hasByte(b []byte, c byte) bool {
	const ones = 0x0101010101010101
	var hit uint64
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b) ^ ones*uint64(c)
		hit |= (x - ones) &^ x & (ones << 7)
	}
	for _, x := range b {
		if x == c {
			return true
		}
	}
	return hit != 0
}

func allZero(b []byte) bool {
	var or byte
	for _, x := range b {
		or |= x
	}
	return or == 0
}
