package enginetest

import (
	"slices"

	"github.com/skein-train/skein/trainer/engine"
)

func cases() []kernelCase {
	return slices.Concat(matmuls(), elementwise(), embeddings(), norms(), gates(), attentions(), losses(), optimizers())
}

func matmuls() (cs []kernelCase) {
	for _, s := range [][3]int{{1, 1, 1}, {3, 5, 7}, {17, 33, 65}, {64, 48, 32}, {1, 130, 40}, {130, 1, 40}, {260, 270, 3}, {520, 9, 260}} {
		for bits := range 8 {
			ta, tb, acc := bits&1 != 0, bits&2 != 0, bits&4 != 0
			m, n, k := s[0], s[1], s[2]
			name := title("matmul", m, n, k, ta, tb, acc)
			g := newGenerator(name)
			cs = append(cs, kernelCase{name, []array{out("c", g.normal(m*n, 1)), in("a", g.normal(m*k, 1)), in("b", g.normal(k*n, 1))},
				func(e engine.Engine, b []engine.Buf) { e.MatMul(b[0], b[1], b[2], ta, tb, m, n, k, acc) }})
		}
	}
	return cs
}

func elementwise() (cs []kernelCase) {
	for _, n := range []int{1, 15, 16, 33, 100, 33001} {
		g := newGenerator(title("add", n))
		cs = append(cs,
			kernelCase{title("add", n), []array{fresh(g, "z", n), in("x", g.normal(n, 1)), in("y", g.normal(n, 1))},
				func(e engine.Engine, b []engine.Buf) { e.Add(b[0], b[1], b[2]) }},
			kernelCase{title("add in place", n), []array{out("x", g.normal(n, 1)), in("y", g.normal(n, 1))},
				func(e engine.Engine, b []engine.Buf) { e.Add(b[0], b[0], b[1]) }},
			kernelCase{title("copy and zero", n), []array{fresh(g, "z", n), in("x", g.normal(n, 1))},
				func(e engine.Engine, b []engine.Buf) {
					e.Copy(b[0], b[1])
					e.Zero(b[0].Slice(n/3, n/2))
				}},
			kernelCase{title("sum of squares", n), []array{fresh(g, "sum", 1), in("x", g.normal(n, 1))},
				func(e engine.Engine, b []engine.Buf) { e.Upload(b[0], []float32{float32(e.SumSquares(b[1]))}) }})
	}
	return cs
}

func embeddings() (cs []kernelCase) {
	for _, s := range [][3]int{{1, 1, 1}, {5, 3, 2}, {40, 33, 7}, {64, 130, 300}} {
		n, d, v := s[0], s[1], s[2]
		g := newGenerator(title("embed", n, d, v))
		cs = append(cs,
			kernelCase{title("embed", n, d, v), []array{fresh(g, "y", n*d), in("table", g.normal(v*d, 1)), ints("ids", g.ints(n, v))},
				func(e engine.Engine, b []engine.Buf) { e.Embed(b[0], b[1], b[2], n, d) }},
			kernelCase{title("embed gradient", n, d, v), []array{out("dtable", g.normal(v*d, 1)), in("dy", g.normal(n*d, 1)), ints("ids", g.ints(n, v))},
				func(e engine.Engine, b []engine.Buf) { e.EmbedGrad(b[0], b[1], b[2], n, d) }})
	}
	return cs
}

func norms() (cs []kernelCase) {
	for _, s := range [][2]int{{1, 3}, {2, 7}, {3, 33}, {300, 40}, {5, 1000}} {
		n, d := s[0], s[1]
		g := newGenerator(title("rmsnorm", n, d))
		cs = append(cs,
			kernelCase{title("rmsnorm", n, d), []array{fresh(g, "y", n*d), fresh(g, "rstd", n), in("x", g.normal(n*d, 2)), in("w", g.normal(d, 1))},
				func(e engine.Engine, b []engine.Buf) { e.RMSNorm(b[0], b[1], b[2], b[3], n, d, 1e-5) }},
			kernelCase{title("rmsnorm gradient", n, d), []array{fresh(g, "dx", n*d), out("dw", g.normal(d, 1)), in("dy", g.normal(n*d, 1)),
				in("x", g.normal(n*d, 2)), in("w", g.normal(d, 1)), fresh(g, "rstd", n), fresh(g, "y", n*d)},
				func(e engine.Engine, b []engine.Buf) {
					e.RMSNorm(b[6], b[5], b[3], b[4], n, d, 1e-5)
					e.RMSNormGrad(b[0], b[1], b[2], b[3], b[4], b[5], n, d)
				}})
	}
	return cs
}

func gates() (cs []kernelCase) {
	for _, s := range [][2]int{{1, 1}, {3, 17}, {100, 352}} {
		n, f := s[0], s[1]
		for _, spread := range []float64{1, 40} { // 40: the sigmoid is flat, and exp overflows
			g := newGenerator(title("swiglu", n, f, spread))
			gu := g.normal(2*n*f, spread)
			cs = append(cs,
				kernelCase{title("swiglu", n, f, spread), []array{fresh(g, "y", n*f), in("gu", gu)},
					func(e engine.Engine, b []engine.Buf) { e.SwiGLU(b[0], b[1], n, f) }},
				kernelCase{title("swiglu gradient", n, f, spread), []array{fresh(g, "dgu", 2*n*f), in("dy", g.normal(n*f, 1)), in("gu", gu)},
					func(e engine.Engine, b []engine.Buf) { e.SwiGLUGrad(b[0], b[1], b[2], n, f) }})
		}
	}
	return cs
}

func attentions() (cs []kernelCase) {
	for _, a := range []engine.Attention{
		{Batch: 1, Time: 1, Heads: 1, KVHeads: 1, HeadDim: 2, RopeBase: 10000},
		{Batch: 2, Time: 5, Heads: 3, KVHeads: 3, HeadDim: 6, RopeBase: 10000},
		{Batch: 2, Time: 50, Heads: 4, KVHeads: 2, HeadDim: 32, RopeBase: 10000},
		{Batch: 1, Time: 101, Heads: 3, KVHeads: 1, HeadDim: 40, RopeBase: 500},
		{Batch: 2, Time: 48, Heads: 1, KVHeads: 1, HeadDim: 64, RopeBase: 500000},
	} {
		n, width, outWidth := a.Batch*a.Time, (a.Heads+2*a.KVHeads)*a.HeadDim, a.Heads*a.HeadDim
		g := newGenerator(title("attend", a))
		qkv := g.normal(n*width, 1.5)
		cs = append(cs,
			kernelCase{title("attend", a), []array{fresh(g, "y", n*outWidth), fresh(g, "lse", a.Heads*n), in("qkv", qkv)},
				func(e engine.Engine, b []engine.Buf) { e.Attend(b[0], b[1], b[2], a) }},
			kernelCase{title("attend gradient", a), []array{fresh(g, "dqkv", n*width), in("dy", g.normal(n*outWidth, 1)),
				fresh(g, "y", n*outWidth), fresh(g, "lse", a.Heads*n), in("qkv", qkv)},
				func(e engine.Engine, b []engine.Buf) {
					e.Attend(b[2], b[3], b[4], a)
					e.AttendGrad(b[0], b[1], b[2], b[3], b[4], a)
				}})
	}
	return cs
}

func losses() (cs []kernelCase) {
	for _, s := range [][2]int{{1, 1}, {3, 2}, {9, 257}, {40, 503}} {
		n, v := s[0], s[1]
		for _, spread := range []float64{1, 30} {
			g := newGenerator(title("cross-entropy", n, v, spread))
			logits, targets := g.normal(n*v, spread), g.ints(n, v)
			gradient := func(where int) func(engine.Engine, []engine.Buf) {
				return func(e engine.Engine, b []engine.Buf) {
					e.CrossEntropy(b[1], b[2], b[3], b[4], n, v)
					e.CrossEntropyGrad(b[where], b[3], b[2], b[4], n, v, 0.5)
				}
			}
			cs = append(cs,
				kernelCase{title("cross-entropy", n, v, spread), []array{fresh(g, "loss", 1), fresh(g, "lse", n), in("logits", logits), ints("targets", targets)},
					func(e engine.Engine, b []engine.Buf) { e.CrossEntropy(b[0], b[1], b[2], b[3], n, v) }},
				kernelCase{title("cross-entropy gradient", n, v, spread), []array{fresh(g, "dlogits", n*v), fresh(g, "loss", 1), fresh(g, "lse", n),
					in("logits", logits), ints("targets", targets)}, gradient(0)},
				kernelCase{title("cross-entropy gradient in place", n, v, spread), []array{fresh(g, "unused", 1), fresh(g, "loss", 1), fresh(g, "lse", n),
					out("logits", logits), ints("targets", targets)}, gradient(3)})
		}
	}
	return cs
}

func optimizers() (cs []kernelCase) {
	for _, n := range []int{1, 16, 37, 33001} {
		g := newGenerator(title("adamw", n))
		v := g.normal(n, 1e-2)
		for i := range v {
			v[i] *= v[i]
		}
		s := engine.AdamW{LR: 3e-3, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Scale: 0.7, Count: 3}
		decay := [][2]int{{0, n / 3}, {n / 2, n}}
		cs = append(cs, kernelCase{title("adamw", n), []array{out("p", g.normal(n, 1)), in("g", g.normal(n, 1e-2)), out("m", g.normal(n, 1e-2)), out("v", v)},
			func(e engine.Engine, b []engine.Buf) {
				for range 3 {
					e.AdamW(b[0], b[1], b[2], b[3], decay, s)
				}
			}})
	}
	return cs
}
