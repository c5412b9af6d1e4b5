package cpu

import "github.com/skein-train/skein/trainer/engine"

var _ engine.Spender = (*Engine)(nil)

// Packed implements engine.Spender.
func (e *Engine) Packed(w *engine.Weight, uses int) int64 { return e.layers.packedLen(w, uses) }

func (l inFP32) packedLen(w *engine.Weight, uses int) (bytes int64) {
	if uses < 2 {
		return 0
	}
	forward := product{n: w.Out, k: w.In, a: matrix{stride: w.In}, b: matrix{trans: true}}
	back := product{n: w.In, k: w.Out, a: matrix{stride: w.Out}}
	for _, p := range []product{forward, back} {
		if l.mul.packs(l.Engine, p) {
			bytes += 4 * int64(l.stripsLen(p.k, p.n))
		}
	}
	return bytes
}

func (l native) packedLen(w *engine.Weight, _ int) int64 {
	h := l.team[0].half
	return int64(h.PackedLen(w.Out, w.In)) + int64(h.PackedLen(w.In, w.Out))
}

// Room implements engine.Spender.
func (e *Engine) Room(t engine.Training) (bytes int64) {
	const products = 1 << 20 // what a product copies together at once, at most
	head, uses, tokens, a := t.Head(), t.Uses, t.Tokens, t.Attention
	rows := headRows(tokens, head.Out, e.most)
	if rows < tokens && e.Packed(head, uses) == 0 {
		bytes += e.Packed(head, 2)
	}
	logits := int64(rows) * int64(head.Out)
	bytes += 4*logits + 4*int64(tokens) + products
	if e.compute == engine.BF16 {
		bytes += 2 * logits
	}
	tall, ld := a.Time*a.HeadDim, oddLines(a.Time)
	attention := 4 * int64(6*tall+2*a.HeadDim*ld+2*rowBlock*ld+2*rowBlock*a.HeadDim)
	ropes := 4 * 3 * int64(tall/2)
	return bytes + ropes + int64(len(e.team))*max(attention, products)
}
