package cpu

import (
	"github.com/skein-train/skein/trainer/engine"
)

// layers computes the three products of a layer. Results and operands have the types that their Bufs say.
type layers interface {
	refresh(w *engine.Weight, uses int)
	packedLen(w *engine.Weight, uses int) int64 // bytes that refresh takes
	forward(y, x engine.Buf, w *engine.Weight, n int)
	back(dx, dy engine.Buf, w *engine.Weight, n int)
	grad(dw, dy, x engine.Buf, n, out, in int, accumulate bool)
}

// Refresh: see engine.Engine.
func (e *Engine) Refresh(w *engine.Weight, uses int) { e.layers.refresh(w, uses) }

// Linear: y = x·wᵀ.
func (e *Engine) Linear(y, x engine.Buf, w *engine.Weight, n int) { e.layers.forward(y, x, w, n) }

// LinearBack: dx = dy·w.
func (e *Engine) LinearBack(dx, dy engine.Buf, w *engine.Weight, n int) { e.layers.back(dx, dy, w, n) }

// LinearGrad: dw = dyᵀ·x, or dw + dyᵀ·x.
func (e *Engine) LinearGrad(dw, dy, x engine.Buf, n, out, in int, accumulate bool) {
	e.layers.grad(dw, dy, x, n, out, in, accumulate)
}

// inFP32 computes layers as products of F32, over operands that are rounded to bfloat16 before if round is set: the same
// numbers as products of bfloat16 up to the order of their sums.
type inFP32 struct {
	*Engine
	round bool
}

// form is a weight packed for our own tiles, in both directions. What a library multiplies is not packed.
type form struct{ forward, back direction }

type direction struct {
	strips
	mem scratch // stays from one refresh to the next
}

// refresh packs weights for several uses. One that is used once is packed on the way, in memory that all share.
func (l inFP32) refresh(w *engine.Weight, uses int) {
	if uses < 2 {
		w.Form = nil
		return
	}
	f, ok := w.Form.(*form)
	if !ok {
		f = &form{}
		w.Form = f
	}
	l.keep(&f.forward, l.forwards(w))
	l.keep(&f.back, l.backwards(w))
}

// keep packs B if our own tiles will take it.
func (l inFP32) keep(d *direction, p product) {
	if l.mul.packs(l.Engine, p) {
		d.strips = l.pack(p, d.mem.take(l.stripsLen(p.k, p.n))[0])
	}
}

// forwards and backwards are the products with w, without their rows.
func (l inFP32) forwards(w *engine.Weight) product {
	p := product{n: w.Out, k: w.In, a: matrix{stride: w.In}, b: matrixOf(w.Master, true, w.In, w.Out), round: l.round}
	if f, ok := w.Form.(*form); ok {
		p.ready = f.forward.strips
	}
	return p
}

func (l inFP32) backwards(w *engine.Weight) product {
	p := product{n: w.In, k: w.Out, a: matrix{stride: w.Out}, b: matrixOf(w.Master, false, w.Out, w.In), round: l.round}
	if f, ok := w.Form.(*form); ok {
		p.ready = f.back.strips
	}
	return p
}

func (l inFP32) forward(y, x engine.Buf, w *engine.Weight, n int) { l.times(l.forwards(w), y, x, n) }

func (l inFP32) back(dx, dy engine.Buf, w *engine.Weight, n int) { l.times(l.backwards(w), dx, dy, n) }

// times completes a product with a weight by its rows.
func (l inFP32) times(p product, y, x engine.Buf, n int) {
	p.m, p.a, p.c = n, matrixOf(x, false, n, p.k), matrixOf(y, false, n, p.n)
	l.multiply(p)
}

func (l inFP32) grad(dw, dy, x engine.Buf, n, out, in int, accumulate bool) {
	l.multiply(product{
		m: out, n: in, k: n, a: matrixOf(dy, true, out, n), b: matrixOf(x, false, n, in), c: matrixOf(dw, false, out, in),
		accumulate: accumulate, round: l.round,
	})
}
