package cuda

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine"
)

// held is the memory in the engine's slots, in bytes.
func (s slots) held() (bytes int64) {
	for _, s := range []slot{s.left, s.right, s.weight, s.parts, s.q, s.k, s.v, s.dy, s.mean, s.logits, s.losses} {
		bytes += lines(s.bytes)
	}
	return bytes
}

// What the engine says that it will take is what it takes, within what gradients in parts may need.
func TestRoom(t *testing.T) {
	const d, f, vocab, tokens = 32, 48, 300, 64
	for _, headDim := range []int{16, 10} {
		e := opened(t)
		a := engine.Attention{Batch: 2, Time: tokens / 2, Heads: 2, KVHeads: 1, HeadDim: headDim, RopeBase: 10000}
		half := func(n int) engine.Buf { return e.Alloc(engine.BF16.Words(n)).At(0, n, engine.BF16) }
		weight := func(out, in int) *engine.Weight { return &engine.Weight{Master: e.Alloc(out * in), Out: out, In: in} }
		layer, head := weight(f, d), weight(vocab, d)
		e.mostLogits = 1
		said := e.Room(&engine.Weight{Out: vocab, In: d}, 1, tokens, a)
		e.Refresh(layer, 1)
		e.Refresh(head, 1)
		x, y, wide, residual := half(tokens*d), half(tokens*2*headDim), half(tokens*f), half(tokens*d)
		qkv, dqkv, dy, lse := half(tokens*4*headDim), half(tokens*4*headDim), half(tokens*2*headDim), e.Alloc(2*tokens)
		e.Linear(wide, x, layer, tokens)
		e.LinearBack(x, wide, layer, tokens)
		e.LinearGrad(e.Alloc(f*d), residual, wide, tokens, d, f, true)
		e.Attend(y, lse, qkv, a)
		e.AttendGrad(dqkv, dy, y, lse, qkv, a)
		e.Head(engine.Scalars(e, 1), x, e.Alloc(vocab*d), x, head, e.Alloc(tokens), tokens, engine.Loss{Scale: 1})
		took := e.slots.held()
		for _, r := range e.ropes {
			took += lines(bytesOf(r.cos)) + lines(bytesOf(r.sin))
		}
		const parts = 2 * busy * 128 * 128 * 4
		if said < took || said > took+parts {
			t.Errorf("heads of %d: said %d bytes, took %d", headDim, said, took)
		}
	}
}
