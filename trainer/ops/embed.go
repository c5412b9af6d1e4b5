package ops

import (
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
)

// Embed is y = table[ids]: table [V, D], ids int32 [N], y [N, D].
func (b *Builder) Embed(table *Param, ids *gorgonia.Node) *gorgonia.Node {
	n, d := ids.Shape()[0], table.Node.Shape()[1]
	e := b.engine
	return b.apply(&op{name: "embed", out: float32s(n, d), over: -1, diff: []bool{true, false},
		run: func(y engine.Buf, in []engine.Buf) { e.Embed(y, in[0], in[1], n, d) },
		symdiff: func(dy *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.apply(&op{name: "embed.grad", out: table.grad, over: -1,
				run: func(dtable engine.Buf, in []engine.Buf) {
					b.clearGrad(table)
					e.EmbedGrad(dtable, in[0], in[1], n, d)
				}}, dy, ids), nil}
		}}, table.Node, ids)
}
