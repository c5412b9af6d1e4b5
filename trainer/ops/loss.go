package ops

import (
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// CrossEntropy is the mean over rows of −log softmax(logits)[target], in nats: logits [N, V], targets int32 [N], a scalar
// written to loss (one element). Its gradient, times Pass.Scale, takes the place of the logits.
func (b *Builder) CrossEntropy(logits, targets *gorgonia.Node, loss engine.Buf) *gorgonia.Node {
	n, v := logits.Shape()[0], logits.Shape()[1]
	e, lse := b.engine, float32s(n)
	return b.apply(&op{name: "crossentropy", out: fixed(tensor.Float32, loss), side: []*Value{lse}, over: -1, diff: []bool{true, false},
		run: func(loss engine.Buf, in []engine.Buf) { e.CrossEntropy(loss, lse.buf, in[0], in[1], n, v) },
		symdiff: func(seed *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.apply(&op{name: "crossentropy.grad", out: float32s(n, v), also: []*Value{lse}, over: 0,
				run: func(dlogits engine.Buf, in []engine.Buf) {
					e.CrossEntropyGrad(dlogits, in[0], lse.buf, in[1], n, v, b.pass.Scale)
				}}, logits, targets, seed), nil}
		}}, logits, targets)
}
