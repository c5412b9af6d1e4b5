package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
)

// opened is an engine whose products are our own, whatever a real GPU's machine has; nothing may fail in it.
func opened(t *testing.T) *Engine {
	e, err := Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: cudatest.Driver(t), Library: builtin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// TestEveryCut takes each form of product in each tile and in parts, over shapes with ends of tiles and of steps.
func TestEveryCut(t *testing.T) {
	e := opened(t)
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range []struct{ m, n, k int }{{8, 16, 32}, {130, 70, 40}, {260, 300, 104}} {
		for _, f := range []form{nt, nn, tn} {
			a, b, sums := integers(r, s.m*s.k), integers(r, s.k*s.n), make([]float32, s.m*s.n)
			turnedA, turnedB := f == tn, f == nt
			ai, ap := strides(turnedA, s.m, s.k)
			bp, bj := strides(turnedB, s.k, s.n)
			for i := range sums {
				row, col := i/s.n, i%s.n
				for l := range s.k {
					sums[i] += a[row*ai+l*ap] * b[l*bp+col*bj] // exactly
				}
			}
			for _, c := range []cut{{64, 1}, {128, 1}, {256, 1}, {64, 3}, {128, 2}} {
				t.Run(fmt.Sprint(s, f, c), func(t *testing.T) {
					p := product{form: f, m: s.m, n: s.n, k: s.k, c: e.Alloc(s.m * s.n), ldc: s.n, add: c.parts == 3}
					start, got := integers(r, s.m*s.n), make([]float32, s.m*s.n)
					e.Upload(p.c, start)
					p.a, p.b = uploaded(e, a, turnedA, s.m, s.k), uploaded(e, b, turnedB, s.k, s.n)
					e.multiplyCut(p, c)
					e.Download(got, p.c)
					for i, want := range sums {
						if p.add {
							want += start[i]
						}
						if want != got[i] {
							t.Fatalf("element %d,%d is %v, want %v", i/s.n, i%s.n, got[i], want)
						}
					}
				})
			}
		}
	}
}

// TestPartsRoundOnce: parts are added before they are rounded.
func TestPartsRoundOnce(t *testing.T) {
	const m, n, k = 16, 24, 96
	e := opened(t)
	r := rand.New(rand.NewPCG(7, 8))
	p := product{form: nn, m: m, n: n, k: k, a: uploaded(e, normal(r, m*k), false, m, k), b: uploaded(e, normal(r, k*n), false, k, n), ldc: n}
	run := func(c engine.Buf) []float32 {
		p.c = c
		e.multiplyCut(p, cut{64, 3})
		wide, got := e.Alloc(m*n), make([]float32, m*n)
		e.Copy(wide, c)
		e.Download(got, wide)
		return got
	}
	want := run(e.Alloc(m * n))
	for i, x := range run(e.Alloc(m*n/2).At(0, m*n, engine.BF16)) {
		if rounded := engine.FromBF16(engine.ToBF16(want[i])); x != rounded {
			t.Fatalf("element %d is %v, want %v", i, x, rounded)
		}
	}
}

// integers are small enough for sums of their products to be exact.
func integers(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.IntN(17) - 8)
	}
	return x
}

// uploaded is op(X) [rows, cols] as products read it.
func uploaded(e *Engine, x []float32, turned bool, rows, cols int) matrix {
	if turned {
		rows, cols = cols, rows
	}
	b := e.Alloc(len(x))
	e.Upload(b, x)
	return e.operand(b, rows, cols, new(slot))
}

// TestLargeMatMul: products on tensor cores are as good as those of F32.
func TestLargeMatMul(t *testing.T) {
	const m, n, k = 70, 130, 77
	e := opened(t)
	r := rand.New(rand.NewPCG(5, 6))
	a, b, start := normal(r, m*k), normal(r, k*n), normal(r, m*n)
	for bits := range 8 {
		transA, transB, add := bits&1 != 0, bits&2 != 0, bits&4 != 0
		up := func(x []float32) engine.Buf { b := e.Alloc(len(x)); e.Upload(b, x); return b }
		c := up(start)
		e.MatMul(c, up(a), up(b), transA, transB, m, n, k, add)
		got := make([]float32, m*n)
		e.Download(got, c)
		ai, ap := strides(transA, m, k)
		bp, bj := strides(transB, k, n)
		var off, all float64
		for i := range got {
			var want float64
			if add {
				want = float64(start[i])
			}
			for l := range k {
				want += float64(a[i/n*ai+l*ap]) * float64(b[l*bp+i%n*bj])
			}
			off, all = off+(want-float64(got[i]))*(want-float64(got[i])), all+want*want
		}
		if e := math.Sqrt(off / all); !(e < 1e-5) {
			t.Errorf("transposed %v %v, added %v: off by %.2g", transA, transB, add, e)
		}
	}
}

func normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// TestCutsDependOnShapes: the large tile for large products, parts for gradients with a long k.
func TestCutsDependOnShapes(t *testing.T) {
	for _, c := range []struct {
		p    product
		want cut
	}{
		{product{form: nt, m: 8192, n: 768, k: 768}, cut{128, 1}},
		{product{form: nt, m: 8192, n: 3072, k: 768}, cut{256, 1}},
		{product{form: nt, m: 128, n: 768, k: 768}, cut{64, 1}},
		{product{form: nn, m: 1280, n: 768, k: 50257}, cut{128, 4}},
		{product{form: tn, m: 768, n: 768, k: 8192}, cut{128, 7}},
		{product{form: tn, m: 50257, n: 768, k: 1280}, cut{256, 1}},
		{product{form: tn, m: 48, n: 48, k: 100}, cut{64, 1}},
	} {
		c.p.ldc = c.p.n
		if got := cutOf(c.p); got != c.want {
			t.Errorf("%d×%d×%d: %v, want %v", c.p.m, c.p.n, c.p.k, got, c.want)
		}
	}
}

// TestHeadInBlocks: the same loss and gradients, whatever number of rows has logits at a time.
func TestHeadInBlocks(t *testing.T) {
	const n, v, d = 300, 20, 16
	r := rand.New(rand.NewPCG(3, 4))
	x, w, ids := normal(r, n*d), normal(r, v*d), make([]int32, n)
	for i := range ids {
		ids[i] = int32(r.IntN(v))
	}
	run := func(most int) (loss, dx, dw []float32) {
		e := opened(t)
		e.mostLogits = most
		up := func(x []float32) engine.Buf { b := e.Alloc(len(x)); e.Upload(b, x); return b }
		targets := e.Alloc(n)
		e.UploadInt32(targets, ids)
		in, weight, gw, l := up(x), up(w), e.Alloc(v*d), engine.Scalars(e, 1)
		e.Head(l, in, gw, in, &engine.Weight{Master: weight, Out: v, In: d}, targets, n, engine.Loss{Scale: 0.5, Z: 1e-3}) // dx is x
		dx, dw = make([]float32, n*d), make([]float32, v*d)
		mean := []float64{0}
		e.Get(mean, l)
		e.Download(dx, in)
		e.Download(dw, gw)
		return []float32{float32(mean[0])}, dx, dw
	}
	loss, dx, dw := run(headLogits)
	inBlocks, dxBlocks, dwBlocks := run(1)
	if !slices.Equal(loss, inBlocks) || !slices.Equal(dx, dxBlocks) {
		t.Error("the loss or its gradient towards x depends on how many rows are taken at once")
	}
	for i := range dw { // which is added up block by block
		if math.Abs(float64(dw[i]-dwBlocks[i])) > 1e-6 {
			t.Fatalf("dw[%d] is %v, in blocks %v", i, dw[i], dwBlocks[i])
		}
	}
}
