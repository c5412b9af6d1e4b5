package gradients

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Golomb-Rice codes (R. F. Rice, JPL 79-22) of the gaps between places that ascend: of gap g with parameter m come g>>m zeros,
// a one, and the lowest m bits of g. Bits fill bytes from the lowest up.

// maxRice bounds the parameter: no gap within a chunk needs more.
const maxRice = 15

// riceCost is the number of bits of count codes whose gaps, shifted right by m, add up to quotients.
func riceCost(m, count, quotients int) int { return count*(m+1) + quotients }

// bestRice is the parameter with the fewest bits, the smallest one of several. The cost is convex in m, so that the first
// one without a better neighbour is it.
func bestRice(gaps []uint16) int {
	cost := func(m int) int {
		q := 0
		for _, g := range gaps {
			q += int(g >> m)
		}
		return riceCost(m, len(gaps), q)
	}
	best, least := 0, cost(0)
	for m := 1; m <= maxRice; m++ {
		c := cost(m)
		if c >= least {
			break
		}
		best, least = m, c
	}
	return best
}

// bitWriter appends bits to bytes.
type bitWriter struct {
	dst  []byte
	bits uint64 // not yet appended
	n    int    // how many
}

// put appends the lowest n ≤ 32 bits of x, whose other bits are zero.
func (w *bitWriter) put(x uint64, n int) {
	w.bits |= x << w.n
	if w.n += n; w.n >= 32 {
		w.dst = binary.LittleEndian.AppendUint32(w.dst, uint32(w.bits))
		w.bits >>= 32
		w.n -= 32
	}
}

func (w *bitWriter) rice(gap uint16, m int) {
	q := int(gap >> m)
	for ; q > 15; q -= 16 {
		w.put(0, 16)
	}
	w.put(1<<q|uint64(gap)&(1<<m-1)<<(q+1), q+1+m)
}

// flush appends what is left, up to a whole byte, and returns everything.
func (w *bitWriter) flush() []byte {
	for ; w.n > 0; w.n -= 8 {
		w.dst = append(w.dst, byte(w.bits))
		w.bits >>= 8
	}
	return w.dst
}

// bitReader takes bits from bytes. Behind their end it reads zeros, and size tells.
type bitReader struct {
	src []byte
	at  int // the next bit
}

// window returns the next 57 bits or more.
func (r *bitReader) window() uint64 {
	i := r.at >> 3
	if i+8 <= len(r.src) {
		return binary.LittleEndian.Uint64(r.src[i:]) >> (r.at & 7)
	}
	var last [8]byte
	copy(last[:], r.src[min(i, len(r.src)):])
	return binary.LittleEndian.Uint64(last[:]) >> (r.at & 7)
}

// rice reads a gap; one above limit may come out as any number above it.
func (r *bitReader) rice(m, limit int) int {
	q := 0
	w := r.window()
	for w&(1<<32-1) == 0 {
		if q += 32; q<<m > limit {
			return limit + 1
		}
		r.at += 32
		w = r.window()
	}
	zeros := bits.TrailingZeros64(w)
	r.at += zeros + 1 + m
	return (q+zeros)<<m | int(w>>(zeros+1)&(1<<m-1))
}

var errBits = errors.New("bits behind the last place, or too few")

// size returns how many bytes have been read. The bits that fill up the last one must be zero.
func (r *bitReader) size() (int, error) {
	n := (r.at + 7) / 8
	if n > len(r.src) || r.at&7 != 0 && r.src[n-1]>>(r.at&7) != 0 {
		return 0, errBits
	}
	return n, nil
}
