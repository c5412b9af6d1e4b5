package reference

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// The gradients of the reference are held against differences of its own forward kernels: for a random direction u and
// random weights c of the outputs, (L(x+h·u) − L(x−h·u))/2h must be near ⟨∇L, u⟩ with L = Σ c·y.

const step = 1.0 / 256

type random struct{ *rand.Rand }

func newRandom() random { return random{rand.New(rand.NewPCG(1, 2))} }

func (r random) normal(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func put(e *Engine, x []float32) engine.Buf {
	b := e.Alloc(len(x))
	e.Upload(b, x)
	return b
}

func putInts(e *Engine, x []int32) engine.Buf {
	b := e.Alloc(len(x))
	e.UploadInt32(b, x)
	return b
}

// checkGradient compares the gradient with differences along a few directions. loss reads x anew at every call.
func checkGradient(t *testing.T, name string, r random, x engine.Buf, gradient []float32, loss func() float64) {
	t.Helper()
	values := f32(x)
	start := append([]float32(nil), values...)
	along := func(u []float32, h float32) float64 {
		for i := range values {
			values[i] = start[i] + h*u[i]
		}
		l := loss()
		copy(values, start)
		return l
	}
	for range 5 {
		u := r.normal(len(values))
		got := dot(widen(gradient), widen(u))
		want := (along(u, step) - along(u, -step)) / (2 * step)
		size := math.Sqrt(dot(widen(gradient), widen(gradient)))
		if math.Abs(got-want) > 2e-3*(math.Abs(want)+size) {
			t.Errorf("%s: gradient along a direction %v, difference of losses %v", name, got, want)
		}
	}
}

func f32(b engine.Buf) []float32 { return hostmem.Float32(b) }

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func weigh(c []float32, y engine.Buf) float64 { return dot(widen(c), widen(f32(y))) }

func TestRMSNormGradient(t *testing.T) {
	const n, d = 5, 7
	e, r := New(), newRandom()
	x, w, c, around := put(e, r.normal(n*d)), put(e, r.normal(d)), r.normal(n*d), r.normal(n*d)
	y, rstd, dx, dw := e.Alloc(n*d), e.Alloc(n), e.Alloc(n*d), e.Alloc(d)
	loss := func() float64 {
		e.RMSNorm(y, rstd, x, w, n, d, 1e-5)
		return weigh(c, y) + weigh(around, x)
	}
	loss()
	e.RMSNormGrad(dx, dw, put(e, c), x, w, rstd, put(e, around), n, d)
	checkGradient(t, "x", r, x, f32(dx), loss)
	checkGradient(t, "w", r, w, f32(dw), loss)
}

func TestAttentionGradient(t *testing.T) {
	for _, a := range []engine.Attention{
		{Batch: 2, Time: 6, Heads: 2, KVHeads: 2, HeadDim: 4, RopeBase: 100},
		{Batch: 1, Time: 5, Heads: 4, KVHeads: 2, HeadDim: 2, RopeBase: 100},
	} {
		e, r := New(), newRandom()
		n := a.Batch * a.Time
		in, out := n*(a.Heads+2*a.KVHeads)*a.HeadDim, n*a.Heads*a.HeadDim
		qkv, c := put(e, r.normal(in)), r.normal(out)
		y, lse, dqkv := e.Alloc(out), e.Alloc(n*a.Heads), e.Alloc(in)
		loss := func() float64 {
			e.Attend(y, lse, qkv, a)
			return weigh(c, y)
		}
		loss()
		e.AttendGrad(dqkv, put(e, c), y, lse, qkv, a)
		checkGradient(t, "qkv", r, qkv, f32(dqkv), loss)
	}
}

func TestSwiGLUGradient(t *testing.T) {
	const n, f = 4, 5
	e, r := New(), newRandom()
	gu, c := put(e, r.normal(2*n*f)), r.normal(n*f)
	y, dgu := e.Alloc(n*f), e.Alloc(2*n*f)
	e.SwiGLUGrad(dgu, put(e, c), gu, n, f)
	checkGradient(t, "gu", r, gu, f32(dgu), func() float64 {
		e.SwiGLU(y, gu, n, f)
		return weigh(c, y)
	})
}

func TestHeadNormGradient(t *testing.T) {
	a := engine.Attention{Batch: 1, Time: 3, Heads: 4, KVHeads: 2, HeadDim: 6}
	e, r := New(), newRandom()
	n, heads := a.Batch*a.Time, a.Heads+a.KVHeads
	size := n * (heads + a.KVHeads) * a.HeadDim
	qkv, w, c := put(e, r.normal(size)), put(e, r.normal(2*a.HeadDim)), r.normal(size)
	y, rstd, dqkv, dw := e.Alloc(size), e.Alloc(n*heads), e.Alloc(size), e.Alloc(2*a.HeadDim)
	loss := func() float64 {
		e.HeadNorm(y, rstd, qkv, w, a, 1e-5)
		return weigh(c, y)
	}
	loss()
	e.HeadNormGrad(dqkv, dw, put(e, c), qkv, w, rstd, a)
	checkGradient(t, "qkv", r, qkv, f32(dqkv), loss)
	checkGradient(t, "w", r, w, f32(dw), loss)
}

func TestHeadGradient(t *testing.T) {
	const n, d, v, scale, z = 6, 4, 9, 0.5, 0.01
	e, r := New(), newRandom()
	x, w, targets := put(e, r.normal(n*d)), put(e, r.normal(v*d)), putInts(e, []int32{0, 8, 3, 3, 7, 1})
	loss, dx, dw, logits := engine.Scalars(e, 1), e.Alloc(n*d), e.Alloc(v*d), e.Alloc(n*v)
	weight := &engine.Weight{Master: w, Out: v, In: d}
	forward := func() float64 {
		e.Head(loss, engine.Buf{}, engine.Buf{}, x, weight, targets, n, engine.Loss{})
		e.Linear(logits, x, weight, n)
		var squares float64
		for i := range n {
			l := logSumExp(widen(f32(logits)[i*v : i*v+v]))
			squares += l * l
		}
		return scale * (hostmem.Float64(loss)[0] + z*squares/n)
	}
	e.Head(loss, dx, dw, x, weight, targets, n, engine.Loss{Scale: scale, Z: z})
	checkGradient(t, "x", r, x, f32(dx), forward)
	checkGradient(t, "w", r, w, f32(dw), forward)
}

func TestEmbedGradient(t *testing.T) {
	const n, d, v = 7, 3, 4
	e, r := New(), newRandom()
	table, ids, c := put(e, r.normal(v*d)), putInts(e, []int32{0, 2, 2, 3, 0, 2, 1}), r.normal(n*d)
	y, g := e.Alloc(n*d), e.Alloc(v*d)
	e.EmbedGrad(g, put(e, c), ids, n, d)
	checkGradient(t, "table", r, table, f32(g), func() float64 {
		e.Embed(y, table, ids, n, d)
		return weigh(c, y)
	})
}

// A product by hand, in all four layouts.
func TestMatMul(t *testing.T) {
	e := New()
	a, at := put(e, []float32{1, 2, 3, 4, 5, 6}), put(e, []float32{1, 4, 2, 5, 3, 6}) // [2,3] and its transpose
	b, bt := put(e, []float32{1, 0, 2, 1, 0, 3}), put(e, []float32{1, 2, 0, 0, 1, 3}) // [3,2] and its transpose
	want := []float32{5, 11, 14, 23}
	for _, c := range []struct {
		a, b           engine.Buf
		transA, transB bool
	}{{a, b, false, false}, {at, b, true, false}, {a, bt, false, true}, {at, bt, true, true}} {
		got := put(e, []float32{1, 1, 1, 1})
		e.MatMul(got, c.a, c.b, c.transA, c.transB, 2, 2, 3, false)
		e.MatMul(got, c.a, c.b, c.transA, c.transB, 2, 2, 3, true)
		for i, w := range want {
			if f32(got)[i] != 2*w {
				t.Errorf("transposed %v %v: twice the product is %v, want twice %v", c.transA, c.transB, f32(got), want)
				break
			}
		}
	}
}

// One step from zero moments moves against the gradient's sign by about the learning rate, besides the decay.
func TestAdamWFirstStep(t *testing.T) {
	e := New()
	p, g, m, v := put(e, []float32{1, 1, -2}), put(e, []float32{0.5, -0.25, 8}), e.Alloc(3), e.Alloc(3)
	step := engine.Scalars(e, engine.StepScalars)
	e.Set(step, []float64{2, 0.1, 1 - 0.9, 1 - 0.99})
	e.AdamW(p, g, m, v, [][2]int{{0, 1}}, engine.AdamW{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.5, Step: step})
	for i, want := range []float64{1*(1-0.05) - 0.1, 1 + 0.1, -2 - 0.1} {
		if math.Abs(float64(f32(p)[i])-want) > 1e-6 {
			t.Errorf("p[%d] = %v, want %v", i, f32(p)[i], want)
		}
	}
	if math.Abs(float64(f32(m)[0])-0.1) > 1e-7 || math.Abs(float64(f32(v)[0])-0.01) > 1e-7 {
		t.Errorf("moments of the first are %v and %v, want 0.1 and 0.01", f32(m)[0], f32(v)[0])
	}
}
