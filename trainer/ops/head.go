package ops

import (
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Head is the output projection w [V, D] of x [N, D] with the loss on top: the mean over rows of −log softmax(x·wᵀ)[target],
// in nats, targets int32 [N], written to loss (one F64), or added to it (Pass.Accumulate). The logits exist for a few rows at a time, so the gradients
// of x and w, times Pass.Scale and with the z-loss of coefficient z, are made in the same go; the gradient op runs nothing.
func (b *Builder) Head(x *gorgonia.Node, w *Param, targets *gorgonia.Node, loss engine.Buf, z float32) *gorgonia.Node {
	n, d := x.Shape()[0], x.Shape()[1]
	e, weight := b.engine, b.weight(w)
	o := &op{name: "head", out: fixed(tensor.Float32, loss), over: none, diff: []bool{true, true, false}, flops: 2 * mul(n, d, w.Node.Shape()[0])}
	if w.grad == nil {
		o.run = func(o *op) {
			e.Head(o.out.buf, engine.Buf{}, engine.Buf{}, o.in(0), weight, o.in(2), n, engine.Loss{})
		}
		return b.apply(o, x, w.Node, targets)
	}
	o.side, o.grad, o.flops = []*Value{typed(ValueOf(x).buf.Type, n, d)}, w.grad, 3*o.flops
	o.run = func(o *op) {
		e.Head(o.out.buf, o.sides(0), w.grad.buf, o.in(0), weight, o.in(2), n,
			engine.Loss{Scale: b.pass.Scale, Z: z, Accumulate: b.accumulates(w)})
	}
	o.symdiff = func(o *op, _ *gorgonia.Node) gorgonia.Nodes {
		dx := b.extract(o.node, o.side[0])
		return gorgonia.Nodes{dx, b.extract(dx, w.grad), nil}
	}
	return b.apply(o, x, w.Node, targets)
}
