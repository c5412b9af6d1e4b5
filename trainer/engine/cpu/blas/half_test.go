package blas

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/skein-train/skein/trainer/engine"
)

// Every kind of product, on processors without bf16 by oneDNN's emulation.
func TestHalf(t *testing.T) {
	halves, l, err := OpenHalves(1)
	if err != nil {
		t.Skip(err)
	}
	unit, none := HalfUnit()
	t.Logf("%s %s, unit %q %s", l.Title, l.Version, unit, none)
	h := halves[0]
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range [][3]int{{1, 1, 1}, {3, 5, 7}, {17, 33, 65}, {64, 48, 32}, {70, 130, 40}} {
		for bits := range 32 {
			m, n, k := s[0], s[1], s[2]
			p := Product{M: m, N: n, K: k, TransA: bits&1 != 0, TransB: bits&2 != 0, WideC: bits&4 != 0, Accumulate: bits&12 == 12, Packed: bits&16 != 0}
			a, b := halfNumbers(r, m*k), halfNumbers(r, k*n)
			p.StrideA, p.StrideB, p.StrideC = stride(p.TransA, m, k), stride(p.TransB, k, n), n+3
			c := make([]float32, m*p.StrideC)
			for i := range c {
				c[i] = float32(i % 5)
			}
			want := make([]float64, len(c))
			for i := range want {
				if want[i] = float64(c[i]); p.Accumulate || i%p.StrideC >= n {
					continue
				}
				want[i] = 0
			}
			for i := range m {
				for j := range n {
					for l := range k {
						want[i*p.StrideC+j] += float64(element(a, p.TransA, p.StrideA, i, l)) * float64(element(b, p.TransB, p.StrideB, l, j))
					}
				}
			}
			multiplyHalf(h, p, a, b, c)
			for i, w := range want {
				eps := 1e-5
				if !p.WideC {
					eps = 1. / 128
				}
				if math.Abs(float64(c[i])-w) > eps*(math.Abs(w)+math.Sqrt(float64(k))) {
					t.Fatalf("%+v: c[%d] = %v, want %v", p, i, c[i], w)
				}
			}
		}
	}
}

func halfNumbers(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = engine.FromBF16(engine.ToBF16(float32(r.NormFloat64())))
	}
	return x
}

func stride(trans bool, rows, cols int) int {
	if trans {
		return rows
	}
	return cols
}

func element(x []float32, trans bool, stride, i, j int) float32 {
	if trans {
		i, j = j, i
	}
	return x[i*stride+j]
}

// multiplyHalf converts what p has as bfloat16 to it and back.
func multiplyHalf(h Half, p Product, a, b, c []float32) {
	scratch := make([]float32, h.Scratch(p)/4+32)
	right := unsafe.Pointer(&toHalf(b)[0])
	if p.Packed {
		right = aligned(make([]float32, h.PackedLen(p.N, p.K)/4+32))
		h.Pack(right, Matrix{Data: &b[0], Stride: p.StrideB, Trans: p.TransB}, p.N, p.K)
	}
	if p.WideC {
		h.Multiply(p, unsafe.Pointer(&toHalf(a)[0]), right, unsafe.Pointer(&c[0]), aligned(scratch))
		return
	}
	half := toHalf(c)
	h.Multiply(p, unsafe.Pointer(&toHalf(a)[0]), right, unsafe.Pointer(&half[0]), aligned(scratch))
	for i, v := range half {
		c[i] = engine.FromBF16(v)
	}
}

func toHalf(x []float32) []uint16 {
	y := make([]uint16, len(x))
	for i, v := range x {
		y[i] = engine.ToBF16(v)
	}
	return y
}
