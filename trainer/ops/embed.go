package ops

import "gorgonia.org/gorgonia"

// Embed is y = table[ids]: table [V, D], ids int32 [N], y [N, D].
func (b *Builder) Embed(table *Param, ids *gorgonia.Node) *gorgonia.Node {
	n, d := ids.Shape()[0], table.Node.Shape()[1]
	e := b.engine
	return b.apply(&op{name: "embed", out: float32s(n, d), over: none, diff: []bool{true, false}, moves: 8 * mul(n, d),
		run: func(o *op) { e.Embed(o.out.buf, o.in(0), o.in(1), n, d) },
		symdiff: func(_ *op, dy *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.apply(&op{name: "embed.grad", out: table.grad, over: none, flops: mul(n, d),
				run: func(o *op) {
					b.clearGrad(table)
					e.EmbedGrad(o.out.buf, o.in(0), o.in(1), n, d)
				}}, dy, ids), nil}
		}}, table.Node, ids)
}
