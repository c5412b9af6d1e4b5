package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
)

// Every length past two unrolled steps, one row and more, with gaps that must stay as they were; to the bit.
func TestBFloatRows(t *testing.T) {
	const gap = 3
	r := rand.New(rand.NewPCG(13, 14))
	for _, s := range Available() {
		for cols := range 70 {
			for rows := 1; rows <= 3; rows++ {
				n := cols + gap
				wide, halves := awkward(r, rows*n), make([]uint16, rows*n)
				for i := range halves {
					halves[i] = uint16(r.Uint32())
				}
				narrowed, widened := slices.Clone(halves), slices.Clone(wide)
				s.Narrow(&narrowed[0], n, &wide[0], n, rows, cols)
				s.Widen(&widened[0], n, &halves[0], n, rows, cols)
				for i := range wide {
					low, high := halves[i], math.Float32bits(wide[i])
					if i%n < cols {
						low, high = engine.ToBF16(wide[i]), uint32(halves[i])<<16
					}
					if narrowed[i] != low {
						t.Fatalf("%s, %d × %d: [%d] narrows %v to %#x, want %#x", s.Name, rows, cols, i, wide[i], narrowed[i], low)
					}
					if math.Float32bits(widened[i]) != high {
						t.Fatalf("%s, %d × %d: [%d] widens %#x to %v", s.Name, rows, cols, i, halves[i], widened[i])
					}
				}
			}
		}
	}
}

// awkward is numbers of all sizes, ties, infinities and NaNs among them.
func awkward(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		b := r.Uint32()
		switch i % 4 {
		case 1:
			b = b&^0xffff | 0x8000 // a tie
		case 2:
			b |= 0x7f800000 // a NaN
		case 3:
			b = b&0x80000000 | 0x7f7fffff + b>>31 // the largest number, and infinity
		}
		x[i] = math.Float32frombits(b)
	}
	return x
}
