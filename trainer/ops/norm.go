package ops

import (
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
)

// Skip is the second way out of a norm: the residual connection around what follows it.
//
// A residual stream reads x twice, x + f(norm(x)), and Gorgonia would sum the two gradients of x itself, with host
// arithmetic. So Add declares no gradient towards x; the norm's gradient op adds the one that arrived at Add.
type Skip struct {
	b    *Builder
	x    *gorgonia.Node
	grad *gorgonia.Node // of Add's output, known by the time the norm is differentiated; nil if Add was never called
}

// RMSNorm is y = x / sqrt(mean(x²) + eps) · w, row by row: x, y [N, D], w [D].
// Skip carries x around whatever is applied to y; x itself must not be used again.
func (b *Builder) RMSNorm(x *gorgonia.Node, w *Param, eps float32) (*gorgonia.Node, *Skip) {
	n, d := x.Shape()[0], x.Shape()[1]
	e, skip := b.engine, &Skip{b: b, x: x}
	y := b.apply(&op{name: "rmsnorm", out: b.activation(n, d), side: []*Value{float32s(n)}, over: none, diff: []bool{true, true}, flops: 4 * mul(n, d),
		run: func(o *op) { e.RMSNorm(o.out.buf, o.sides(0), o.in(0), o.in(1), n, d, eps) },
		symdiff: func(o *op, dy *gorgonia.Node) gorgonia.Nodes {
			kept := o.kept()
			ins, over := gorgonia.Nodes{dy, kept.ins[0], w.Node}, none
			if skip.grad != nil {
				ins, over = append(ins, skip.grad), 3
			}
			dx := b.apply(&op{name: "rmsnorm.grad", out: float32s(n, d), also: []*Value{kept.side[0]}, over: over, flops: 11 * mul(n, d), grad: w.grad,
				run: func(o *op) {
					b.clearGrad(w)
					around := engine.Buf{}
					if over != none {
						around = o.in(over)
					}
					e.RMSNormGrad(o.out.buf, w.grad.buf, o.in(0), o.in(1), o.in(2), kept.sides(0), around, n, d)
				}}, ins...)
			return gorgonia.Nodes{dx, b.extract(dx, w.grad)}
		}}, x, w.Node)
	return y, skip
}

// Add closes the residual connection: the norm's input + h. It may be called once.
func (s *Skip) Add(h *gorgonia.Node) *gorgonia.Node {
	e := s.b.engine
	return s.b.apply(&op{name: "residual", out: float32s(h.Shape()...), over: 1, diff: []bool{false, true}, flops: int64(h.Shape().TotalSize()),
		run: func(o *op) { e.Add(o.out.buf, o.in(0), o.in(1)) },
		symdiff: func(_ *op, dy *gorgonia.Node) gorgonia.Nodes {
			s.grad = dy
			return gorgonia.Nodes{nil, dy}
		}}, s.x, h)
}
