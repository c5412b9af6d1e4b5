package ops

import (
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// LastRow copies row Pass.Row of x [N, D] to y [1, D]. It has no gradient.
func (b *Builder) LastRow(x *gorgonia.Node) *gorgonia.Node {
	d := x.Shape()[1]
	return b.apply(&op{name: "lastrow", out: float32s(1, d), over: none,
		run: func(o *op) {
			at := b.pass.Row * d
			b.engine.Copy(o.out.buf, o.in(0).Slice(at, at+d))
		}}, x)
}

// Output copies x to buf, where it stays when the run is over. It has no gradient.
func (b *Builder) Output(x *gorgonia.Node, buf engine.Buf) *gorgonia.Node {
	return b.apply(&op{name: "output", out: fixed(tensor.Float32, buf, x.Shape()...), over: none,
		run: func(o *op) { b.engine.Copy(o.out.buf, o.in(0)) }}, x)
}
