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
	e, skip, rstd := b.engine, &Skip{b: b, x: x}, float32s(n)
	y := b.apply(&op{name: "rmsnorm", out: float32s(n, d), side: []*Value{rstd}, over: -1, diff: []bool{true, true},
		run: func(y engine.Buf, in []engine.Buf) { e.RMSNorm(y, rstd.buf, in[0], in[1], n, d, eps) },
		symdiff: func(dy *gorgonia.Node) gorgonia.Nodes {
			ins := gorgonia.Nodes{dy, x, w.Node}
			if skip.grad != nil {
				ins = append(ins, skip.grad)
			}
			dx := b.apply(&op{name: "rmsnorm.grad", out: float32s(n, d), also: []*Value{rstd}, over: -1,
				run: func(dx engine.Buf, in []engine.Buf) {
					b.clearGrad(w)
					e.RMSNormGrad(dx, w.grad.buf, in[0], in[1], in[2], rstd.buf, n, d)
					if len(in) > 3 {
						e.Add(dx, dx, in[3])
					}
				}}, ins...)
			return gorgonia.Nodes{dx, b.extract(dx, w.grad)}
		}}, x, w.Node)
	return y, skip
}

// Add closes the residual connection: the norm's input + h. It may be called once.
func (s *Skip) Add(h *gorgonia.Node) *gorgonia.Node {
	e := s.b.engine
	return s.b.apply(&op{name: "residual", out: float32s(h.Shape()...), over: 1, diff: []bool{false, true},
		run: func(y engine.Buf, in []engine.Buf) { e.Add(y, in[0], in[1]) },
		symdiff: func(dy *gorgonia.Node) gorgonia.Nodes {
			s.grad = dy
			return gorgonia.Nodes{nil, dy}
		}}, s.x, h)
}
