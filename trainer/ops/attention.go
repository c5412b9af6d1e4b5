package ops

import (
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
)

// Attend is causal attention with rotary embeddings over packed projections: qkv [N, (Heads + 2·KVHeads)·HeadDim],
// y [N, Heads·HeadDim], N = Batch·Time.
func (b *Builder) Attend(qkv *gorgonia.Node, a engine.Attention) *gorgonia.Node {
	n, wide := qkv.Shape()[0], qkv.Shape()[1]
	e := b.engine
	return b.apply(&op{name: "attend", out: b.activation(n, a.Heads*a.HeadDim), side: []*Value{float32s(a.Batch * a.Heads * a.Time)},
		over: none, diff: []bool{true}, flops: 2 * mul(n, a.Time, a.Heads, a.HeadDim), // the causal half of two products
		run: func(o *op) { e.Attend(o.out.buf, o.sides(0), o.in(0), a) },
		symdiff: func(o *op, dy *gorgonia.Node) gorgonia.Nodes {
			kept := o.kept()
			return gorgonia.Nodes{b.apply(&op{name: "attend.grad", out: b.activation(n, wide), also: []*Value{kept.out, kept.side[0]}, over: none, flops: 4 * mul(n, a.Time, a.Heads, a.HeadDim),
				run: func(o *op) {
					e.AttendGrad(o.out.buf, o.in(0), kept.out.buf, kept.sides(0), o.in(1), a)
				}}, dy, kept.ins[0])}
		}}, qkv)
}

// HeadNorm normalises each query and key head of qkv with w [2, HeadDim], the weights of queries and of keys (QK-norm).
func (b *Builder) HeadNorm(qkv *gorgonia.Node, w *Param, a engine.Attention, eps float32) *gorgonia.Node {
	n, wide := qkv.Shape()[0], qkv.Shape()[1]
	e, normed := b.engine, mul(n, a.Heads+a.KVHeads, a.HeadDim)
	return b.apply(&op{name: "headnorm", out: b.activation(n, wide), side: []*Value{float32s(n * (a.Heads + a.KVHeads))}, over: none, diff: []bool{true, true}, flops: 4 * normed,
		run: func(o *op) { e.HeadNorm(o.out.buf, o.sides(0), o.in(0), o.in(1), a, eps) },
		symdiff: func(o *op, dy *gorgonia.Node) gorgonia.Nodes {
			kept := o.kept()
			dqkv := b.apply(&op{name: "headnorm.grad", out: b.activation(n, wide), also: []*Value{kept.side[0]}, over: 0, flops: 10 * normed, grad: w.grad,
				run: func(o *op) {
					b.clearGrad(w)
					e.HeadNormGrad(o.out.buf, w.grad.buf, o.in(0), o.in(1), o.in(2), kept.sides(0), a)
				}}, dy, kept.ins[0], w.Node)
			return gorgonia.Nodes{dqkv, b.extract(dqkv, w.grad)}
		}}, qkv, w.Node)
}
