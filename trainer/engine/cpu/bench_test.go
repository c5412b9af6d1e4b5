package cpu_test

import (
	"math"
	"testing"
	"time"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu"
)

// shape is what a model asks of the engine: the two sizes that the rest of the project measures by.
type shape struct {
	name                                string
	batch, time, d, heads, ff, vocab, n int
}

var shapes = []shape{
	{name: "tiny", batch: 16, time: 128, d: 128, heads: 4, ff: 352, vocab: 256},
	{name: "small", batch: 8, time: 256, d: 256, heads: 4, ff: 1024, vocab: 4096},
}

// BenchmarkShapes runs every kernel at the sizes of a training step, one call an operation.
//
//	go test -run - -bench Shapes/small ./trainer/engine/cpu
func BenchmarkShapes(b *testing.B) {
	for _, s := range shapes {
		s.n = s.batch * s.time
		for _, library := range []string{"onednn", "openblas", "accelerate", "builtin", "gonum"} {
			e, err := cpu.Open(engine.Options{Library: library})
			if err != nil {
				continue
			}
			products(b, e, s, s.name+"/"+library)
			attention(b, e, s, s.name+"/"+library)
		}
		e, err := cpu.Open(engine.Options{})
		if err != nil {
			b.Fatal(err)
		}
		rows(b, e, s)
	}
}

func products(b *testing.B, e engine.Engine, s shape, name string) {
	for _, w := range []struct {
		name    string
		out, in int
	}{{"qkv", 3 * s.d, s.d}, {"out", s.d, s.d}, {"gate-up", 2 * s.ff, s.d}, {"down", s.d, s.ff}, {"head", s.vocab, s.d}} {
		x, y, weight := e.Alloc(s.n*w.in), e.Alloc(s.n*w.out), e.Alloc(w.in*w.out)
		measure(b, name+"/"+w.name+"/forward", "GFLOP/s", 2*s.n*w.in*w.out, func() { e.MatMul(y, x, weight, false, true, s.n, w.out, w.in, false) })
		measure(b, name+"/"+w.name+"/dx", "GFLOP/s", 2*s.n*w.in*w.out, func() { e.MatMul(x, y, weight, false, false, s.n, w.in, w.out, false) })
		measure(b, name+"/"+w.name+"/dw", "GFLOP/s", 2*s.n*w.in*w.out, func() { e.MatMul(weight, y, x, true, false, w.out, w.in, s.n, true) })
	}
	x, weight, dw := e.Alloc(s.n*s.d), e.Alloc(s.vocab*s.d), e.Alloc(s.vocab*s.d)
	loss, ids := engine.Scalars(e, 1), e.Alloc(s.n)
	measure(b, name+"/head and loss", "GFLOP/s", 6*s.n*s.vocab*s.d, func() {
		e.Head(loss, x, dw, x, &engine.Weight{Master: weight, Out: s.vocab, In: s.d}, ids, s.n, engine.Loss{Scale: 1})
	})
}

// Attention counts the products below the diagonal: two forward, five backward.
func attention(b *testing.B, e engine.Engine, s shape, name string) {
	a := engine.Attention{Batch: s.batch, Time: s.time, Heads: s.heads, KVHeads: s.heads, HeadDim: s.d / s.heads, RopeBase: 10000}
	qkv, dqkv, y, dy, lse := e.Alloc(3*s.n*s.d), e.Alloc(3*s.n*s.d), e.Alloc(s.n*s.d), e.Alloc(s.n*s.d), e.Alloc(s.n*s.heads)
	product := s.n * s.time * s.d
	measure(b, name+"/attend", "GFLOP/s", 2*product, func() { e.Attend(y, lse, qkv, a) })
	measure(b, name+"/attend gradient", "GFLOP/s", 5*product, func() { e.AttendGrad(dqkv, dy, y, lse, qkv, a) })
}

func rows(b *testing.B, e engine.Engine, s shape) {
	nd, nf := s.n*s.d, s.n*s.ff
	x, y, z, w, r := e.Alloc(nd), e.Alloc(nd), e.Alloc(nd), e.Alloc(s.d), e.Alloc(s.n)
	gu, dgu, h := e.Alloc(2*nf), e.Alloc(2*nf), e.Alloc(nf)
	ids, table := e.Alloc(s.n), e.Alloc(s.vocab*s.d)
	params := 2*s.vocab*s.d + 4*(4*s.d*s.d+3*s.d*s.ff)
	p, g, m, v := e.Alloc(params), e.Alloc(params), e.Alloc(params), e.Alloc(params)
	step := engine.Scalars(e, engine.StepScalars)
	measure(b, s.name+"/add", "GB/s", 12*nd, func() { e.Add(z, x, y) })
	measure(b, s.name+"/rmsnorm", "GB/s", 8*nd, func() { e.RMSNorm(y, r, x, w, s.n, s.d, 1e-5) })
	measure(b, s.name+"/rmsnorm gradient", "GB/s", 16*nd, func() { e.RMSNormGrad(z, w, y, x, w, r, z, s.n, s.d) })
	measure(b, s.name+"/swiglu", "GB/s", 12*nf, func() { e.SwiGLU(h, gu, s.n, s.ff) })
	measure(b, s.name+"/swiglu gradient", "GB/s", 20*nf, func() { e.SwiGLUGrad(dgu, h, gu, s.n, s.ff) })
	measure(b, s.name+"/embed", "GB/s", 8*nd, func() { e.Embed(y, table, ids, s.n, s.d) })
	measure(b, s.name+"/embed gradient", "GB/s", 12*nd, func() { e.EmbedGrad(table, y, ids, s.n, s.d) })
	measure(b, s.name+"/clip", "GB/s", 4*params, func() { e.Clip(step, g, engine.Buf{}, 1) })
	e.Set(step, []float64{1, 1e-3, 0.5, 0.5})
	measure(b, s.name+"/adamw", "GB/s", 28*params, func() {
		e.AdamW(p, g, m, v, [][2]int{{0, params}}, engine.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Step: step})
	})
}

// measure reports the best call's work (floating-point operations, bytes) a nanosecond: on a machine that others use
// too, the mean says more about them.
func measure(b *testing.B, name, unit string, work int, call func()) {
	b.Run(name, func(b *testing.B) {
		call()
		best := time.Duration(math.MaxInt64)
		for b.Loop() {
			start := time.Now()
			call()
			best = min(best, time.Since(start))
		}
		b.ReportMetric(float64(work)/float64(best.Nanoseconds()), "best-"+unit)
	})
}
