package cuda

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/skein-train/skein/trainer/engine"
)

// held is the memory in the engine's slots, in bytes.
func (s slots) held() (bytes int64) {
	for _, s := range []slot{s.left, s.right, s.weight, s.parts, s.workspace, s.q, s.k, s.v, s.dy, s.mean, s.logits, s.losses, s.sums} {
		bytes += lines(s.bytes)
	}
	return bytes
}

// What the engine says that it will take is what it takes: reserved beforehand, after which no call takes more, and no more than calls
// need.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		d, f, tokens, headDim, vocab int
		library                      bool
	}{
		{72, 80, 256, 16, 300, false},
		{72, 80, 256, 10, 301, false},
		{8, 16, 2048, 4, 20, false}, // gradients in parts
		{72, 80, 256, 16, 300, true},
	} {
		d, f, tokens, parameters := c.d, c.f, c.tokens, c.d<<13
		a := engine.Attention{Batch: tokens / 32, Time: 32, Heads: 2, KVHeads: 1, HeadDim: c.headDim, RopeBase: 10000}
		training := engine.Training{Weights: []*engine.Weight{{Out: f, In: d}, {Out: c.vocab, In: d}}, Uses: 1, Tokens: tokens, Attention: a, Parameters: parameters,
			Products: []engine.Product{{M: d, N: d, K: f}, {M: d, N: f, K: d}}}
		train := func(e *Engine) {
			half := func(n int) engine.Buf { return e.Alloc(engine.BF16.Words(n)).At(0, n, engine.BF16) }
			weight := func(out, in int) *engine.Weight { return &engine.Weight{Master: e.Alloc(out * in), Out: out, In: in} }
			layer, head := weight(f, d), weight(c.vocab, d)
			e.Refresh(layer, 1)
			e.Refresh(head, 1)
			x, y, wide, residual := half(tokens*d), half(tokens*2*c.headDim), half(tokens*f), half(tokens*d)
			qkv, dqkv, dy, lse := half(tokens*4*c.headDim), half(tokens*4*c.headDim), half(tokens*2*c.headDim), e.Alloc(2*tokens)
			e.Linear(wide, x, layer, tokens)
			e.LinearBack(x, wide, layer, tokens)
			e.LinearGrad(e.Alloc(f*d), residual, wide, tokens, d, f, true)
			e.Attend(y, lse, qkv, a)
			e.AttendGrad(dqkv, dy, y, lse, qkv, a)
			e.HeadNormGrad(dqkv, e.Alloc(2*c.headDim), dqkv, qkv, e.Alloc(2*c.headDim), e.Alloc(3*tokens), a)
			e.RMSNormGrad(residual, e.Alloc(d), x, residual, e.Alloc(d), e.Alloc(tokens), engine.Buf{}, tokens, d)
			e.Head(engine.Scalars(e, 1), x, e.Alloc(c.vocab*d), x, head, e.Alloc(tokens), tokens, engine.Loss{Scale: 1})
			e.Clip(engine.Scalars(e, engine.StepScalars), e.Alloc(parameters), engine.Buf{}, 1)
			e.MatMul(e.Alloc(d*d), e.Alloc(d*f), e.Alloc(d*f), false, true, d, d, f, false)
			e.MatMul(e.Alloc(d*f), e.Alloc(d*d), e.Alloc(d*f), false, false, d, f, d, false)
		}
		open := opened
		if c.library {
			open = func(t *testing.T) *Engine {
				e := withLibrary(t)
				t.Cleanup(func() { closed(t, e) })
				return e
			}
		}
		needed, reserved := open(t), open(t)
		for _, e := range []*Engine{needed, reserved} {
			e.mostLogits = 1
		}
		train(needed)
		reserved.Reserve(training)
		before := reserved.slots
		train(reserved)
		if reserved.slots != before {
			t.Errorf("%+v: a call took more than was reserved: %+v, then %+v", c, before, reserved.slots)
		}
		var tables int64
		for _, r := range reserved.ropes {
			tables += lines(bytesOf(r.cos)) + lines(bytesOf(r.sin))
		}
		said, held := reserved.Room(training), reserved.slots.held()
		if said != held+tables+small {
			t.Errorf("%+v: said %d bytes, took %d and %d of tables", c, said, held, tables)
		}
		if c.library { // which makes the products that are reserved for in parts
			held -= lines(before.parts.bytes)
		}
		if took := needed.slots.held(); held > took {
			t.Errorf("%+v: reserved %d bytes, needed %d", c, held, took)
		}
	}
}

// Parts never take more than they are said to.
func TestMostParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := func(name string) int {
			return rapid.IntRange(1, 1<<rapid.IntRange(1, 17).Draw(t, name+" bits")).Draw(t, name)
		}
		p := product{m: size("m"), n: size("n"), k: size("k")}
		p.ldc = p.n
		c := cutOf(p)
		if took := 4 * int64(c.parts) * int64(p.m) * int64(p.n); c.parts > 1 && took > mostParts(p.m, p.n, p.k) {
			t.Fatalf("%+v in %+v takes %d bytes, said to be %d at most", p, c, took, mostParts(p.m, p.n, p.k))
		}
		if big := mostParts(p.m+1, p.n+1, p.k+1); big < mostParts(p.m, p.n, p.k) {
			t.Fatal("a larger product takes less")
		}
	})
}
