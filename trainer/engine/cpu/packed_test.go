package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
	"github.com/skein-train/skein/trainer/engine/enginetest"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// Shapes that need several panels, depths, strips and blocks of rows, and rows that would collide.
func TestPackedInPieces(t *testing.T) {
	for _, s := range []struct{ m, n, k int }{{400, 33, 500}, {30, 40, 1100}, {14, 1100, 390}, {13, 70, 512}, {1, 40, 1}, {40, 3, 0}} {
		for bits := range 8 {
			transA, transB, accumulate := bits&1 != 0, bits&2 != 0, bits&4 != 0
			var results [][]float32
			for _, open := range []func() engine.Engine{
				func() engine.Engine { return reference.New() },
				func() engine.Engine { return own(t, 1) },
				func() engine.Engine { return own(t, 2) },
			} {
				e := open()
				r := rand.New(rand.NewPCG(1, 2))
				c, a, b := filled(e, r, s.m*s.n), filled(e, r, s.m*s.k), filled(e, r, s.k*s.n)
				e.MatMul(c, a, b, transA, transB, s.m, s.n, s.k, accumulate)
				got := make([]float32, c.Len)
				e.Download(got, c)
				results = append(results, got)
				e.Close()
			}
			enginetest.Close(t, "c", results[1], results[0], enginetest.Eps)
			for i, v := range results[1] {
				if results[2][i] != v {
					t.Fatalf("%v, case %d: two threads give other bits at %d", s, bits, i)
				}
			}
		}
	}
}

func own(t *testing.T, threads int) engine.Engine {
	e, err := Open(engine.Options{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	e.mul = packed{}
	return e
}

func filled(e engine.Engine, r *rand.Rand, n int) engine.Buf {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	b := e.Alloc(n)
	e.Upload(b, x)
	return b
}

// Only the forward pass of narrow models goes around the library, and only with the widest tiles.
func TestOursByShape(t *testing.T) {
	of := func(transA, transB bool, m, n, k int) product {
		p := product{m: m, n: n, k: k, a: matrix{stride: k, trans: transA}, b: matrix{trans: transB}}
		if transA {
			p.a.stride = m
		}
		return p
	}
	for _, c := range []struct {
		what string
		cols int
		p    product
		want bool
	}{
		{"forward", 32, of(false, true, 2048, 704, 128), true},
		{"forward with narrow tiles", 16, of(false, true, 2048, 704, 128), false},
		{"forward of a wide model", 32, of(false, true, 2048, 256, 1000), false},
		{"gradient of the activations", 32, of(false, false, 2048, 128, 704), false},
		{"gradient of the weights", 32, of(true, false, 704, 128, 2048), false},
	} {
		if got := ours(c.cols, c.p); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// A block of rows is a number of whole tiles, whatever the shape.
func TestBlockRows(t *testing.T) {
	for _, s := range kernels.Available() {
		tile := s.Tiles.Heights[0].Rows
		for _, m := range []int{1, 12, 100, 5000} {
			for _, n := range []int{1, 31, 352, 100000} {
				if rows := blockRows(m, n, tile); rows < tile || rows%tile != 0 {
					t.Errorf("%d×%d in tiles of %d: %d rows", m, n, tile, rows)
				}
			}
		}
	}
}
