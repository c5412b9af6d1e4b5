package ops

import "gorgonia.org/gorgonia"

// SwiGLU is y = silu(gate)·up: a row of gu [N, 2F] is gate | up, y [N, F].
func (b *Builder) SwiGLU(gu *gorgonia.Node) *gorgonia.Node {
	n, f := gu.Shape()[0], gu.Shape()[1]/2
	e := b.engine
	return b.apply(&op{name: "swiglu", out: b.activation(n, f), over: none, diff: []bool{true}, flops: 6 * mul(n, f),
		run: func(o *op) { e.SwiGLU(o.out.buf, o.in(0), n, f) },
		symdiff: func(o *op, dy *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.apply(&op{name: "swiglu.grad", out: b.activation(n, 2*f), over: none, flops: 13 * mul(n, f),
				run: func(o *op) { e.SwiGLUGrad(o.out.buf, o.in(0), o.in(1), n, f) }}, dy, o.keptInput(0))}
		}}, gu)
}
