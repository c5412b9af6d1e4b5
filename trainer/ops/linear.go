package ops

import (
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
)

// Linear is y = x·wᵀ: x [N, K], w [O, K], y [N, O].
// Its gradient op computes dw first, then dx, so that everything further back runs after dw: tied embeddings rely on it.
func (b *Builder) Linear(x *gorgonia.Node, w *Param) *gorgonia.Node {
	n, k, o := x.Shape()[0], x.Shape()[1], w.Node.Shape()[0]
	e := b.engine
	return b.apply(&op{name: "linear", out: float32s(n, o), over: -1, diff: []bool{true, true},
		run: func(y engine.Buf, in []engine.Buf) { e.MatMul(y, in[0], in[1], false, true, n, o, k, false) },
		symdiff: func(dy *gorgonia.Node) gorgonia.Nodes {
			dx := b.apply(&op{name: "linear.grad", out: float32s(n, k), over: -1,
				run: func(dx engine.Buf, in []engine.Buf) {
					dy, x, w0 := in[0], in[1], in[2]
					e.MatMul(w.grad.buf, dy, x, true, false, o, k, n, b.accumulates(w))
					e.MatMul(dx, dy, w0, false, false, n, k, o, false)
				}}, dy, x, w.Node)
			return gorgonia.Nodes{dx, b.extract(dx, w.grad)}
		}}, x, w.Node)
}
