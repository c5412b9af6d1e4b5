package gradients

import (
	"encoding/binary"
	"fmt"
	"math"
)

// nibbles sends each block as its largest magnitude s and a code of four bits for each element. The body is all
// scales (float32), then the codes of each block, the first element in the low half of the first byte; a block
// begins with a new byte.
type nibbles struct {
	name   string
	ends   []int  // of the blocks
	bytes  int    // of all codes
	levels levels // what the codes mean
}

// levels is a set of 15 values for a block with scale s. Code 8 is not one of them: it would be a second zero.
type levels interface {
	// quantise writes a code for each value, one per byte; s is above zero.
	quantise(codes []byte, v Vec, s float32)
	// value is what a code stands for.
	value(code int, s float32) float32
}

func newNibbles(name string, groups []int, l levels) format {
	f := nibbles{name: name, ends: blocksOf(groups), levels: l}
	lo := 0
	for _, hi := range f.ends {
		f.bytes += (hi - lo + 1) / 2
		lo = hi
	}
	return f
}

func (f nibbles) size() int { return 4*len(f.ends) + f.bytes }

func (f nibbles) encode(body []byte, v Vec) {
	scales, codes := body[:4*len(f.ends)], body[4*len(f.ends):]
	var wide [blockLen + 1]byte
	lo := 0
	for b, hi := range f.ends {
		block, s := v[lo:hi], absMax(v[lo:hi])
		binary.LittleEndian.PutUint32(scales[4*b:], math.Float32bits(s))
		n := (len(block) + 1) / 2
		if s == 0 {
			clear(codes[:n])
		} else {
			f.levels.quantise(wide[:len(block)], block, s)
			wide[len(block)] = 0
			pairs := wide[:2*n]
			for i := range codes[:n] {
				codes[i] = pairs[2*i] | pairs[2*i+1]<<4
			}
		}
		codes, lo = codes[n:], hi
	}
}

func (f nibbles) check(body []byte) error {
	scales, codes := body[:4*len(f.ends)], body[4*len(f.ends):]
	if hasNibble8(codes) {
		return fmt.Errorf("%w: %s: a code is 8", ErrCorrupt, f.name)
	}
	lo := 0
	for b, hi := range f.ends {
		s := binary.LittleEndian.Uint32(scales[4*b:])
		n := (hi - lo + 1) / 2
		switch {
		case s > maxBits: // a sign makes it larger still
			return fmt.Errorf("%w: %s: scale of block %d is negative, not finite or above 2^64", ErrCorrupt, f.name, b)
		case s == 0 && !allZero(codes[:n]):
			return fmt.Errorf("%w: %s: block %d has codes but no scale", ErrCorrupt, f.name, b)
		case (hi-lo)%2 == 1 && codes[n-1]>>4 != 0:
			return fmt.Errorf("%w: %s: block %d has a code too many", ErrCorrupt, f.name, b)
		}
		codes, lo = codes[n:], hi
	}
	return nil
}

func (f nibbles) add(acc Vec, weight float32, body []byte) {
	scales, codes := body[:4*len(f.ends)], body[4*len(f.ends):]
	var table [16]float32
	lo := 0
	for b, hi := range f.ends {
		s := math.Float32frombits(binary.LittleEndian.Uint32(scales[4*b:]))
		for c := range table {
			table[c] = float32(weight * f.levels.value(c, s))
		}
		block := acc[lo:hi]
		n := (len(block) + 1) / 2
		for i, c := range codes[:len(block)/2] {
			pair := block[2*i : 2*i+2 : 2*i+2]
			pair[0] += table[c&15]
			pair[1] += table[c>>4]
		}
		if len(block)%2 == 1 {
			block[len(block)-1] += table[codes[n-1]&15]
		}
		codes, lo = codes[n:], hi
	}
}

// hasNibble8 looks for the code 8 in both halves of the bytes; see hasByte.
func hasNibble8(b []byte) bool {
	const ones = 0x1111111111111111
	var hit uint64
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b) ^ ones<<3
		hit |= (x - ones) &^ x & (ones << 3)
	}
	for _, c := range b {
		if c&15 == 8 || c>>4 == 8 {
			return true
		}
	}
	return hit != 0
}
