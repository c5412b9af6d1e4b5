package enginetest

import (
	"math"
	"slices"
	"sync"

	"github.com/skein-train/skein/trainer/engine"
)

// products are the calls that multiply matrices, others the rest. They are made once: cases know no state.
var (
	products = sync.OnceValue(func() []kernelCase { return slices.Concat(matmuls(), linears(), heads()) })
	others   = sync.OnceValue(func() []kernelCase {
		return slices.Concat(elementwise(), embeddings(), norms(), headNorms(), gates(), attentions(), optimizers())
	})
)

var nan = float32(math.NaN())

func matmuls() (cs []kernelCase) {
	for _, s := range []struct {
		m, n, k int
		bits    []int // transA, transB, accumulate
	}{
		{1, 1, 1, []int{0, 7}}, {3, 5, 7, everyBit}, {17, 33, 65, everyBit}, {64, 48, 32, []int{0, 3}}, {1, 130, 40, []int{2}}, {130, 1, 40, []int{1}},
		{260, 270, 3, []int{1, 6}}, {520, 9, 260, []int{0, 2, 5}}, // several blocks of C; rows far apart
	} {
		for _, bits := range s.bits {
			ta, tb, acc := bits&1 != 0, bits&2 != 0, bits&4 != 0
			m, n, k := s.m, s.n, s.k
			name := title("matmul", m, n, k, ta, tb, acc)
			g := newGenerator(name)
			cs = append(cs, kernelCase{name, []array{out("c", g.normal(m*n, 1)), in("a", g.normal(m*k, 1)), in("b", g.normal(k*n, 1))},
				func(e engine.Engine, b []engine.Buf) { e.MatMul(b[0], b[1], b[2], ta, tb, m, n, k, acc) }})
		}
	}
	return cs
}

var everyBit = []int{0, 1, 2, 3, 4, 5, 6, 7}

// linears are the three products of a layer, over F32 and BF16 operands and results.
func linears() (cs []kernelCase) {
	for _, s := range []struct {
		n, out, in int
		uses       []int // of Refresh, 0: none
	}{
		{1, 1, 1, []int{0, 2}}, {3, 5, 7, []int{0, 1, 2}}, {17, 33, 65, []int{0, 1, 2}}, {64, 48, 32, []int{2}},
		{40, 64, 384, []int{1}}, {20, 130, 390, []int{2}}, // the longest sums in one go, and longer ones
	} {
		n, o, k := s.n, s.out, s.in
		for _, t := range []engine.Type{engine.F32, engine.BF16} {
			name := title("linear", n, o, k, t)
			g := newGenerator(name)
			x, dy, w := as(t, in("x", g.normal(n*k, 1))), as(t, in("dy", g.normal(n*o, 1))), in("w", g.normal(o*k, 1))
			add := func(kernel string, uses int, result array, operand array, call func(engine.Engine, engine.Buf, engine.Buf, *engine.Weight)) {
				cs = append(cs, kernelCase{title(kernel, n, o, k, t, uses), []array{result, operand, w}, func(e engine.Engine, b []engine.Buf) {
					w := &engine.Weight{Master: b[2], Out: o, In: k}
					if uses > 0 {
						e.Refresh(w, uses)
					}
					call(e, b[0], b[1], w)
				}})
			}
			forward := func(e engine.Engine, y, x engine.Buf, w *engine.Weight) { e.Linear(y, x, w, n) }
			back := func(e engine.Engine, dx, dy engine.Buf, w *engine.Weight) { e.LinearBack(dx, dy, w, n) }
			for _, uses := range s.uses {
				add("linear", uses, as(t, fresh(g, "y", n*o)), x, forward)
				add("linear back", uses, as(t, fresh(g, "dx", n*k)), dy, back)
				if t == engine.BF16 {
					add("linear to fp32", uses, fresh(g, "y", n*o), x, forward)
				}
			}
			cs = append(cs, kernelCase{title("refreshed", n, o, k, t), []array{as(t, fresh(g, "y", n*o)), x, out("w", g.normal(o*k, 1)), in("new", g.normal(o*k, 1))},
				func(e engine.Engine, b []engine.Buf) {
					w := &engine.Weight{Master: b[2], Out: o, In: k}
					e.Refresh(w, 2)
					e.Linear(b[0], b[1], w, n)
					e.Copy(b[2], b[3])
					e.Refresh(w, 2)
					e.Linear(b[0], b[1], w, n)
				}})
			for _, acc := range []bool{false, true} {
				gradient := func(e engine.Engine, b []engine.Buf) { e.LinearGrad(b[0], b[1], b[2], n, o, k, acc) }
				cs = append(cs, kernelCase{title("linear gradient", n, o, k, t, acc), []array{out("dw", g.normal(o*k, 1)), dy, x}, gradient})
				if t == engine.BF16 {
					cs = append(cs, kernelCase{title("linear gradient from fp32", n, o, k, acc), []array{out("dw", g.normal(o*k, 1)), as(engine.F32, dy), x}, gradient})
				}
			}
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
			kernelCase{title("mix", n), []array{fresh(g, "z", n), in("x", g.normal(n, 1)), in("y", g.normal(n, 1))},
				func(e engine.Engine, b []engine.Buf) {
					e.Mix(b[0], engine.Number(0.7), b[1], engine.Number(-1.3), b[2])
				}},
			kernelCase{title("mix in place", n), []array{out("x", g.normal(n, 1)), in("y", g.normal(n, 1))},
				func(e engine.Engine, b []engine.Buf) {
					e.Mix(b[0], engine.Number(0.7), b[0], engine.Number(0.2), b[1])
					e.Mix(b[0], engine.Number(0.5), b[1], engine.Number(2), b[0])
				}},
			kernelCase{title("convert", n), []array{as(engine.BF16, fresh(g, "z", n)), fresh(g, "back", n), in("x", g.normal(n, 1))},
				func(e engine.Engine, b []engine.Buf) {
					e.Copy(b[0], b[2])
					e.Copy(b[1], b[0])
				}},
			kernelCase{title("copy and zero", n), []array{fresh(g, "z", n), in("x", g.normal(n, 1))},
				func(e engine.Engine, b []engine.Buf) {
					e.Copy(b[0], b[1])
					e.Zero(b[0].Slice(n/3, n/2))
				}},
			kernelCase{title("mix by scalars", n), []array{fresh(g, "z", n), in("x", g.normal(n, 1)), in("y", g.normal(n, 1)), scalars(0.3, -2)},
				func(e engine.Engine, b []engine.Buf) {
					e.Mix(b[0], engine.Scalar{Value: 3, At: b[3].Slice(0, 1)}, b[1], engine.Scalar{Value: 1, At: b[3].Slice(1, 2)}, b[2])
				}},
			kernelCase{title("mix by no number", n), []array{out("z", g.normal(n, 1)), in("x", g.normal(n, 1)), scalars(nan)},
				func(e engine.Engine, b []engine.Buf) {
					e.Mix(b[0], engine.Scalar{Value: 1, At: b[2]}, b[1], engine.Number(0), b[1])
				}},
			kernelCase{title("normalise", n), []array{out("x", g.normal(n, 1))}, func(e engine.Engine, b []engine.Buf) { e.Normalise(b[0], 0.1) }})
		for _, limit := range []float64{0, 1e-3, 1e9} {
			cs = append(cs, kernelCase{title("clip", n, limit), []array{written(scalars(5, 6, 7)), in("x", g.normal(n, 1)), scalars(1)},
				func(e engine.Engine, b []engine.Buf) {
					e.Clip(b[0].Slice(0, 2), b[1], b[2], limit)
					e.Clip(b[0].Slice(2, 3), b[1], engine.Buf{}, limit)
				}})
		}
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
	for _, s := range [][2]int{{1, 3}, {2, 7}, {3, 33}, {300, 20}, {5, 1000}} {
		n, d := s[0], s[1]
		for _, t := range []engine.Type{engine.F32, engine.BF16} {
			g := newGenerator(title("rmsnorm", n, d, t))
			gradient := func(skip bool) func(engine.Engine, []engine.Buf) {
				return func(e engine.Engine, b []engine.Buf) {
					e.RMSNorm(b[6], b[5], b[3], b[4], n, d, 1e-5)
					around := engine.Buf{}
					if skip {
						around = b[0]
					}
					e.RMSNormGrad(b[0], b[1], b[2], b[3], b[4], b[5], around, n, d)
				}
			}
			args := []array{fresh(g, "dx", n*d), out("dw", g.normal(d, 1)), as(t, in("dy", g.normal(n*d, 1))),
				in("x", g.normal(n*d, 2)), in("w", g.normal(d, 1)), fresh(g, "rstd", n), as(t, fresh(g, "y", n*d))}
			cs = append(cs,
				kernelCase{title("rmsnorm", n, d, t), []array{as(t, fresh(g, "y", n*d)), fresh(g, "rstd", n), in("x", g.normal(n*d, 2)), in("w", g.normal(d, 1))},
					func(e engine.Engine, b []engine.Buf) { e.RMSNorm(b[0], b[1], b[2], b[3], n, d, 1e-5) }},
				kernelCase{title("rmsnorm gradient", n, d, t), args, gradient(false)},
				kernelCase{title("rmsnorm gradient and what came around", n, d, t), args, gradient(true)})
		}
	}
	return cs
}

func headNorms() (cs []kernelCase) {
	for _, a := range []engine.Attention{
		{Batch: 1, Time: 1, Heads: 1, KVHeads: 1, HeadDim: 2},
		{Batch: 2, Time: 5, Heads: 3, KVHeads: 1, HeadDim: 6},
		{Batch: 2, Time: 70, Heads: 4, KVHeads: 2, HeadDim: 16},
	} {
		for _, t := range []engine.Type{engine.F32, engine.BF16} {
			heads := a.Heads + a.KVHeads
			n := a.Batch * a.Time
			size := n * (heads + a.KVHeads) * a.HeadDim
			g := newGenerator(title("head norm", a, t))
			qkv, w := as(t, in("qkv", g.normal(size, 2))), in("w", g.normal(2*a.HeadDim, 1))
			cs = append(cs,
				kernelCase{title("head norm", a, t), []array{as(t, fresh(g, "y", size)), fresh(g, "rstd", n*heads), qkv, w},
					func(e engine.Engine, b []engine.Buf) { e.HeadNorm(b[0], b[1], b[2], b[3], a, 1e-5) }},
				kernelCase{title("head norm gradient", a, t), []array{as(t, fresh(g, "dqkv", size)), out("dw", g.normal(2*a.HeadDim, 1)), as(t, in("dy", g.normal(size, 1))),
					qkv, w, fresh(g, "rstd", n*heads), as(t, fresh(g, "y", size))},
					func(e engine.Engine, b []engine.Buf) {
						e.HeadNorm(b[6], b[5], b[3], b[4], a, 1e-5)
						e.HeadNormGrad(b[0], b[1], b[2], b[3], b[4], b[5], a)
					}},
				kernelCase{title("head norm gradient in place", a, t), []array{as(t, out("dy", g.normal(size, 1))), out("dw", g.normal(2*a.HeadDim, 1)),
					qkv, w, fresh(g, "rstd", n*heads), as(t, fresh(g, "y", size))},
					func(e engine.Engine, b []engine.Buf) {
						e.HeadNorm(b[5], b[4], b[2], b[3], a, 1e-5)
						e.HeadNormGrad(b[0], b[1], b[0], b[2], b[3], b[4], a)
					}})
		}
	}
	return cs
}

func gates() (cs []kernelCase) {
	for _, s := range [][2]int{{1, 1}, {3, 17}, {100, 50}, {2, 352}} {
		n, f := s[0], s[1]
		for _, spread := range []float64{1, 40} { // 40: the sigmoid is flat, and exp overflows
			for _, t := range []engine.Type{engine.F32, engine.BF16} {
				g := newGenerator(title("swiglu", n, f, spread, t))
				gu := as(t, in("gu", g.normal(2*n*f, spread)))
				cs = append(cs,
					kernelCase{title("swiglu", n, f, spread, t), []array{as(t, fresh(g, "y", n*f)), gu},
						func(e engine.Engine, b []engine.Buf) { e.SwiGLU(b[0], b[1], n, f) }},
					kernelCase{title("swiglu gradient", n, f, spread, t), []array{as(t, fresh(g, "dgu", 2*n*f)), as(t, in("dy", g.normal(n*f, 1))), gu},
						func(e engine.Engine, b []engine.Buf) { e.SwiGLUGrad(b[0], b[1], b[2], n, f) }})
			}
		}
	}
	return cs
}

func attentions() (cs []kernelCase) {
	for _, a := range []engine.Attention{
		{Batch: 1, Time: 1, Heads: 1, KVHeads: 1, HeadDim: 2, RopeBase: 10000},
		{Batch: 2, Time: 5, Heads: 3, KVHeads: 3, HeadDim: 6, RopeBase: 10000},
		{Batch: 1, Time: 50, Heads: 4, KVHeads: 2, HeadDim: 34, RopeBase: 10000},
		{Batch: 1, Time: 101, Heads: 3, KVHeads: 1, HeadDim: 10, RopeBase: 500},
		{Batch: 2, Time: 48, Heads: 1, KVHeads: 1, HeadDim: 64, RopeBase: 500000},
	} {
		n, width, outWidth := a.Batch*a.Time, (a.Heads+2*a.KVHeads)*a.HeadDim, a.Heads*a.HeadDim
		for _, t := range []engine.Type{engine.F32, engine.BF16} {
			g := newGenerator(title("attend", a, t))
			qkv := as(t, in("qkv", g.normal(n*width, 1.5)))
			cs = append(cs,
				kernelCase{title("attend", a, t), []array{as(t, fresh(g, "y", n*outWidth)), fresh(g, "lse", a.Heads*n), qkv},
					func(e engine.Engine, b []engine.Buf) { e.Attend(b[0], b[1], b[2], a) }},
				kernelCase{title("attend gradient", a, t), []array{as(t, fresh(g, "dqkv", n*width)), as(t, in("dy", g.normal(n*outWidth, 1))),
					as(t, fresh(g, "y", n*outWidth)), fresh(g, "lse", a.Heads*n), qkv},
					func(e engine.Engine, b []engine.Buf) {
						e.Attend(b[2], b[3], b[4], a)
						e.AttendGrad(b[0], b[1], b[2], b[3], b[4], a)
					}})
		}
	}
	return cs
}

// heads are the output projection with the loss; a spread of 30 makes the logits so far apart that exp overflows.
func heads() (cs []kernelCase) {
	for _, s := range [][3]int{{1, 1, 1}, {3, 2, 5}, {9, 257, 16}, {40, 103, 33}} {
		n, v, d := s[0], s[1], s[2]
		for _, spread := range []float64{1, 30} {
			for _, t := range []engine.Type{engine.F32, engine.BF16} {
				g := newGenerator(title("head", n, v, d, spread, t))
				// Numbers that bfloat16 can hold: what rounding moves in far logits, exp makes large.
				x, w := as(t, exact(in("x", g.normal(n*d, 1)))), exact(in("w", g.normal(v*d, spread/math.Sqrt(float64(d)))))
				targets := ints("targets", g.ints(n, v))
				weight := func(w engine.Buf) *engine.Weight { return &engine.Weight{Master: w, Out: v, In: d} }
				gradients := []array{written(scalars(2)), as(t, fresh(g, "dx", n*d)), out("dw", g.normal(v*d, 1)), x, w, targets}
				cs = append(cs,
					kernelCase{title("loss", n, v, d, spread, t), []array{written(scalars(2)), x, w, targets},
						func(e engine.Engine, b []engine.Buf) {
							e.Head(b[0], engine.Buf{}, engine.Buf{}, b[1], weight(b[2]), b[3], n, engine.Loss{})
						}},
					kernelCase{title("head", n, v, d, spread, t), gradients, func(e engine.Engine, b []engine.Buf) {
						e.Head(b[0], b[1], b[2], b[3], weight(b[4]), b[5], n, engine.Loss{Scale: 0.5})
					}},
					kernelCase{title("head, z-loss, accumulated", n, v, d, spread, t), gradients, func(e engine.Engine, b []engine.Buf) {
						e.Head(b[0], b[1], b[2], b[3], weight(b[4]), b[5], n, engine.Loss{Scale: 0.5, Z: 1e-2, Accumulate: true})
					}})
			}
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
		s := engine.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1}
		decay := [][2]int{{0, n / 3}, {n / 2, n}}
		args := []array{out("p", g.normal(n, 1)), in("g", g.normal(n, 1e-2)), out("m", g.normal(n, 1e-2)), out("v", v)}
		for _, scale := range []float32{0.7, nan} {
			step := scalars(scale, 3e-3, 1-0.9*0.9*0.9, 1-0.95*0.95*0.95)
			cs = append(cs, kernelCase{title("adamw", n, scale), append(slices.Clone(args), step),
				func(e engine.Engine, b []engine.Buf) {
					s.Step = b[4]
					for range 3 {
						e.AdamW(b[0], b[1], b[2], b[3], decay, s)
					}
				}})
		}
	}
	return cs
}
