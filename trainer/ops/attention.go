package ops

import (
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
)

// Attend is causal attention with rotary embeddings over packed projections: qkv [N, (Heads + 2·KVHeads)·HeadDim],
// y [N, Heads·HeadDim], N = Batch·Time.
func (b *Builder) Attend(qkv *gorgonia.Node, a engine.Attention) *gorgonia.Node {
	n, wide := qkv.Shape()[0], qkv.Shape()[1]
	e, y, lse := b.engine, float32s(n, a.Heads*a.HeadDim), float32s(a.Batch*a.Heads*a.Time)
	return b.apply(&op{name: "attend", out: y, side: []*Value{lse}, over: -1, diff: []bool{true},
		run: func(y engine.Buf, in []engine.Buf) { e.Attend(y, lse.buf, in[0], a) },
		symdiff: func(dy *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.apply(&op{name: "attend.grad", out: float32s(n, wide), also: []*Value{y, lse}, over: -1,
				run: func(dqkv engine.Buf, in []engine.Buf) {
					e.AttendGrad(dqkv, in[0], y.buf, lse.buf, in[1], a)
				}}, dy, qkv)}
		}}, qkv)
}
