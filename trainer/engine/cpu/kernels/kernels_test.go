package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// call is one kernel on a number of slices of one length and two scalars, for tests that treat all kernels alike.
type call struct {
	name   string
	slices int // how many it takes, outputs first
	run    func(s *Set, x [][]float32, a, b float32) (result float64)
}

// calls lists every kernel.
var calls = []call{
	{"Add", 3, func(s *Set, x [][]float32, _, _ float32) float64 { s.Add(x[0], x[1], x[2]); return 0 }},
	{"Mix", 3, func(s *Set, x [][]float32, a, b float32) float64 { s.Mix(x[0], x[1], x[2], a, b); return 0 }},
	{"Scale", 2, func(s *Set, x [][]float32, a, _ float32) float64 { s.Scale(x[0], x[1], a); return 0 }},
	{"Dot", 2, func(s *Set, x [][]float32, _, _ float32) float64 { return float64(s.Dot(x[0], x[1])) }},
	{"SumSquares", 1, func(s *Set, x [][]float32, _, _ float32) float64 { return s.SumSquares(x[0]) }},
	{"Max", 1, func(s *Set, x [][]float32, _, _ float32) float64 { return float64(s.Max(x[0])) }},
	{"SumExp", 1, func(s *Set, x [][]float32, a, _ float32) float64 { return float64(s.SumExp(x[0], a)) }},
	{"ExpSum", 2, func(s *Set, x [][]float32, a, _ float32) float64 { return float64(s.ExpSum(x[0], x[1], a)) }},
	{"ExpScale", 2, func(s *Set, x [][]float32, a, b float32) float64 { s.ExpScale(x[0], x[1], a, b); return 0 }},
	{"SoftmaxGrad", 2, func(s *Set, x [][]float32, a, b float32) float64 { s.SoftmaxGrad(x[0], x[1], a, b); return 0 }},
	{"Norm", 3, func(s *Set, x [][]float32, a, _ float32) float64 { s.Norm(x[0], x[1], x[2], a); return 0 }},
	{"NormGradSums", 4, func(s *Set, x [][]float32, a, _ float32) float64 {
		return float64(s.NormGradSums(x[0], x[1], x[2], x[3], a))
	}},
	{"NormGrad", 4, func(s *Set, x [][]float32, a, b float32) float64 { s.NormGrad(x[0], x[1], x[2], x[3], a, b); return 0 }},
	{"NormGradAdd", 5, func(s *Set, x [][]float32, a, b float32) float64 {
		s.NormGradAdd(x[0], x[1], x[2], x[3], x[4], a, b)
		return 0
	}},
	{"SwiGLU", 3, func(s *Set, x [][]float32, _, _ float32) float64 { s.SwiGLU(x[0], x[1], x[2]); return 0 }},
	{"SwiGLUGrad", 5, func(s *Set, x [][]float32, _, _ float32) float64 {
		s.SwiGLUGrad(x[0], x[1], x[2], x[3], x[4])
		return 0
	}},
	{"Rotate", 4, func(s *Set, x [][]float32, a, _ float32) float64 {
		for rows := 1; rows <= 2; rows++ { // one row of all, then two of half of it
			if half := len(x[0]) / 2 / rows; half > 0 {
				s.Rotate(&x[0][0], 2*half, &x[1][0], 2*half, &x[2][0], &x[3][0], rows, half, a)
			}
		}
		return 0
	}},
	{"CopyRows", 2, func(s *Set, x [][]float32, _, _ float32) float64 {
		for rows := 1; rows <= 3; rows++ { // rows with a gap of one
			if cols := len(x[0])/rows - 1; cols > 0 {
				s.CopyRows(&x[0][0], cols+1, &x[1][0], cols+1, rows, cols)
			}
		}
		return 0
	}},
	{"AdamW", 4, func(s *Set, x [][]float32, a, b float32) float64 {
		s.AdamW(x[0], x[1], x[2], x[3], &AdamW{Scale: a, Beta1: 0.9, Rest1: 0.1, Beta2: 0.95, Rest2: 0.05, Keep: 0.99, Rate: b, Correct2: 1.3, Eps: 1e-3})
		return 0
	}},
}

// check runs one kernel of a set and of the portable one on copies of the same slices, which end at the end of their
// memory, and compares all slices and the result.
func (c call) check(t *testing.T, s Set, inputs [][]float32, a, b float32) {
	t.Helper()
	twin := portable()
	want, got := clone(inputs), clone(inputs)
	nonNegative(want[c.slices-1], got[c.slices-1])
	wantResult, gotResult := c.run(&twin, want, a, b), c.run(&s, got, a, b)
	n, scale := float64(len(inputs[0])), magnitude(inputs)*magnitude(inputs)
	if !near(gotResult, wantResult, magnitude(want)*n) {
		t.Fatalf("%s %s of %d returns %v, twin %v", s.Name, c.name, len(inputs[0]), gotResult, wantResult)
	}
	for i := range want {
		for j, w := range want[i] {
			if !near(float64(got[i][j]), float64(w), scale) {
				t.Fatalf("%s %s of %d: slice %d [%d] = %v, twin %v", s.Name, c.name, len(inputs[0]), i, j, got[i][j], w)
			}
		}
	}
}

// near: |got − want| ≤ 1e-5·(|want| + scale), or both not finite alike.
func near(got, want, scale float64) bool {
	if math.IsNaN(want) || math.IsInf(want, 0) {
		return math.IsNaN(got) && math.IsNaN(want) || got == want
	}
	return math.Abs(got-want) <= 1e-5*(math.Abs(want)+scale)
}

func magnitude(x [][]float32) float64 {
	m := 1.0
	for _, s := range x {
		for _, v := range s {
			m = max(m, math.Abs(float64(v)))
		}
	}
	return m
}

func clone(x [][]float32) [][]float32 {
	y := make([][]float32, len(x))
	for i := range x {
		y[i] = append(make([]float32, 0, len(x[i])), x[i]...)
	}
	return y
}

// nonNegative makes the last slice of every call non-negative: AdamW's v is a mean of squares.
func nonNegative(slices ...[]float32) {
	for _, x := range slices {
		for i, v := range x {
			x[i] = float32(math.Abs(float64(v)))
		}
	}
}

func TestTwinsAtEveryLength(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range vectorised() {
		for _, c := range calls {
			t.Run(s.Name+"/"+c.name, func(t *testing.T) {
				for n := range 140 { // past two unrolled steps of four registers
					c.check(t, s, normals(r, c.slices, n), float32(r.NormFloat64()), float32(r.NormFloat64()))
				}
			})
		}
	}
}

// Nothing past the end may be touched: each slice is a window into larger memory that must stay as it was.
func TestNothingPastTheEnd(t *testing.T) {
	const margin = 40
	r := rand.New(rand.NewPCG(3, 4))
	for _, s := range vectorised() {
		for _, c := range calls {
			for n := range 70 {
				whole := normals(r, c.slices, n+2*margin)
				before, windows := clone(whole), make([][]float32, c.slices)
				for i := range whole {
					windows[i] = whole[i][margin : margin+n : margin+n]
				}
				c.run(&s, windows, 0.5, 0.5)
				for i := range whole {
					for j, v := range whole[i] {
						if (j < margin || j >= margin+n) && v != before[i][j] {
							t.Fatalf("%s %s of %d wrote outside: slice %d, %d elements from the start", s.Name, c.name, n, i, j-margin)
						}
					}
				}
			}
		}
	}
}

func TestExpAccuracy(t *testing.T) {
	for _, s := range Available() {
		for x := float32(-90); x < 90; x += 0.0137 {
			y, want := []float32{0, 0, 0}, math.Exp(float64(x))
			s.ExpScale(y, []float32{x, x, x}, 0, 1)
			switch got := float64(y[0]); {
			case x < -87:
				if got != 0 {
					t.Fatalf("%s: exp(%v) = %v, want 0 below -87", s.Name, x, got)
				}
			case x > 88.3 && math.IsInf(got, 1): // 2^128 is the first power that does not fit; e^88.72 the first value
			case x > 88.73:
				t.Fatalf("%s: exp(%v) = %v, want +Inf", s.Name, x, got)
			case math.Abs(got-want) > 4e-7*want:
				t.Fatalf("%s: exp(%v) = %v, want %v: %.2g off", s.Name, x, got, want, math.Abs(got/want-1))
			}
		}
	}
}

func TestExpOfSpecialValues(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, s := range Available() {
		y := make([]float32, 5)
		s.ExpScale(y, []float32{-inf, inf, nan, 0, -1e30}, 0, 1)
		if y[0] != 0 || y[1] != inf || y[2] == y[2] || y[3] != 1 || y[4] != 0 {
			t.Errorf("%s: exp(-Inf, +Inf, NaN, 0, -1e30) = %v", s.Name, y)
		}
	}
}

func normals(r *rand.Rand, slices, n int) [][]float32 {
	x := make([][]float32, slices)
	for i := range x {
		x[i] = make([]float32, n)
		for j := range x[i] {
			x[i][j] = float32(r.NormFloat64())
		}
	}
	return x
}

// FuzzTwins feeds arbitrary finite numbers of moderate size.
func FuzzTwins(f *testing.F) {
	f.Add(uint8(0), []byte("some bytes that make numbers: 0123456789"))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		c := calls[int(which)%len(calls)]
		n := len(data) / 2 / c.slices
		x := make([][]float32, c.slices)
		for i := range x {
			for j := range n {
				raw := int16(binary.LittleEndian.Uint16(data[2*(i*n+j):]))
				x[i] = append(x[i], float32(raw)/4096)
			}
		}
		for _, s := range vectorised() {
			c.check(t, s, x, 0.75, 0.25)
		}
	})
}

func BenchmarkKernels(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, s := range Available() {
		for _, c := range calls {
			for _, n := range []int{128, 1024} {
				x := normals(r, c.slices, n)
				nonNegative(x[c.slices-1])
				b.Run(fmt.Sprintf("%s/%s/%d", s.Name, c.name, n), func(b *testing.B) {
					b.SetBytes(int64(4 * c.slices * n))
					for b.Loop() {
						c.run(&s, x, 0.5, 0.25)
					}
				})
			}
		}
	}
}
