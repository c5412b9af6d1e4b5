package ops

import (
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
)

// Linear is y = x·wᵀ: x [N, K], w [O, K], y [N, O]. It feeds further kernels; ToStream is the same for what is added to the
// residual stream, which is F32.
// Its gradient op computes dw first, then dx, so that everything further back runs after dw: tied embeddings rely on it.
func (b *Builder) Linear(x *gorgonia.Node, w *Param) *gorgonia.Node {
	return b.linear(x, w, b.engine.Compute())
}

// ToStream is Linear with an F32 result.
func (b *Builder) ToStream(x *gorgonia.Node, w *Param) *gorgonia.Node {
	return b.linear(x, w, engine.F32)
}

func (b *Builder) linear(x *gorgonia.Node, w *Param, t engine.Type) *gorgonia.Node {
	n, k, out := x.Shape()[0], x.Shape()[1], w.Node.Shape()[0]
	e, weight := b.engine, b.weight(w)
	return b.apply(&op{name: "linear", out: typed(t, n, out), over: none, diff: []bool{true, true}, flops: 2 * mul(n, k, out),
		run: func(o *op) { e.Linear(o.out.buf, o.in(0), weight, n) },
		symdiff: func(o *op, dy *gorgonia.Node) gorgonia.Nodes {
			x, read := o.keptInput(0), e.Compute()
			grad := &op{name: "linear.grad", out: typed(ValueOf(x).buf.Type, n, k), over: none, flops: 4 * mul(n, k, out), grad: w.grad}
			if ValueOf(dy).buf.Type != read { // that of the residual stream: both products read it rounded
				grad.side = []*Value{typed(read, n, out)}
			}
			grad.run = func(o *op) {
				dy, x := o.in(0), o.in(1)
				if len(o.side) > 0 {
					e.Copy(o.sides(0), dy)
					dy = o.sides(0)
				}
				e.LinearGrad(w.grad.buf, dy, x, n, out, k, b.accumulates(w))
				e.LinearBack(o.out.buf, dy, weight, n)
			}
			dx := b.apply(grad, dy, x, w.Node)
			return gorgonia.Nodes{dx, b.extract(dx, w.grad)}
		}}, x, w.Node)
}
