package cpu

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine"
)

// held is the memory of its own that the engine has, beside its workers' for a task, in bytes.
func (e *Engine) held() (bytes int64) {
	for _, s := range []scratch{e.right, e.sums, e.logits, e.narrowed, e.losses} {
		bytes += 4 * int64(len(s.block))
	}
	for i := range e.team {
		bytes += 4 * int64(len(e.team[i].block))
	}
	for _, t := range e.ropes {
		bytes += 4 * 3 * int64(len(t.cos))
	}
	return bytes + formLen(&e.head)
}

func formLen(w *engine.Weight) int64 {
	switch f := w.Form.(type) {
	case *form:
		return 4 * int64(len(f.forward.mem.block)+len(f.back.mem.block))
	case *packedHalf:
		return 4 * int64(len(f.forward.block)+len(f.back.block))
	}
	return 0
}

// What the engine says that it will take is what it takes: within a few megabytes of room, and no less.
func TestOwn(t *testing.T) {
	const d, f, vocab, tokens = 64, 300, 9000, 512
	a := engine.Attention{Batch: 2, Time: tokens / 2, Heads: 2, KVHeads: 1, HeadDim: d / 2, RopeBase: 10000}
	for _, o := range []engine.Options{{Library: "builtin"}, {Library: "builtin", Threads: 3}, {Threads: 2}, {Precision: "bf16"}, {Precision: "bf16", Library: "builtin"}} {
		for _, uses := range []int{1, 4} {
			e, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			typed := func(n int) engine.Buf { return e.Alloc(e.compute.Words(n)).At(0, n, e.compute) }
			weight := func(out, in int) *engine.Weight { return &engine.Weight{Master: e.Alloc(out * in), Out: out, In: in} }
			layer, head := weight(f, d), weight(vocab, d)
			said := e.Packed(&engine.Weight{Out: f, In: d}, uses) + e.Packed(&engine.Weight{Out: vocab, In: d}, uses) + e.Room(engine.Training{Weights: []*engine.Weight{{Out: f, In: d}, {Out: vocab, In: d}}, Uses: uses, Tokens: tokens, Attention: a})
			e.Refresh(layer, uses)
			e.Refresh(head, uses)
			x, y, dy, wide := typed(tokens*d), typed(tokens*d), typed(tokens*d), typed(tokens*f)
			qkv, dqkv, lse := typed(tokens*2*d), typed(tokens*2*d), e.Alloc(2*tokens)
			e.Linear(wide, x, layer, tokens)
			e.LinearBack(dy, wide, layer, tokens)
			e.LinearGrad(e.Alloc(f*d), wide, x, tokens, f, d, true)
			e.Attend(y, lse, qkv, a)
			e.AttendGrad(dqkv, dy, y, lse, qkv, a)
			e.Head(engine.Scalars(e, 1), dy, e.Alloc(vocab*d), x, head, e.Alloc(tokens), tokens, engine.Loss{Scale: 1})
			took := e.held() + formLen(layer) + formLen(head)
			if spare := int64(1+len(e.team)) << 20; said < took || said > took+spare+took/5 {
				t.Errorf("%s, %d uses: said %d bytes, took %d", e.Name(), uses, said, took)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
