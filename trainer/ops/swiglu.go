package ops

import (
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
)

// SwiGLU is y = silu(gate)·up: a row of gu [N, 2F] is gate | up, y [N, F].
func (b *Builder) SwiGLU(gu *gorgonia.Node) *gorgonia.Node {
	n, f := gu.Shape()[0], gu.Shape()[1]/2
	e := b.engine
	return b.apply(&op{name: "swiglu", out: float32s(n, f), over: -1, diff: []bool{true},
		run: func(y engine.Buf, in []engine.Buf) { e.SwiGLU(y, in[0], n, f) },
		symdiff: func(dy *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.apply(&op{name: "swiglu.grad", out: float32s(n, 2*f), over: -1,
				run: func(dgu engine.Buf, in []engine.Buf) { e.SwiGLUGrad(dgu, in[0], in[1], n, f) }}, dy, gu)}
		}}, gu)
}
