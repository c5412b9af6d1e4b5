package reference

import (
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// Add: z = x + y.
func (e *Engine) Add(z, x, y engine.Buf) { e.Mix(z, engine.Number(1), x, engine.Number(1), y) }

// Mix: z = s·x + t·y.
func (*Engine) Mix(z engine.Buf, s engine.Scalar, x engine.Buf, t engine.Scalar, y engine.Buf) {
	a, b, ok := hostmem.Factors(s, t)
	if !ok {
		return
	}
	xs, ys := load(x), load(y)
	for i := range xs {
		xs[i] = float64(a)*xs[i] + float64(b)*ys[i]
	}
	store(z, xs)
}

// MatMul: C = op(A)·op(B), or C + op(A)·op(B).
func (*Engine) MatMul(c, a, b engine.Buf, transA, transB bool, m, n, k int, accumulate bool) {
	cs, as, bs := load(c), load(a), load(b)
	ai, ap := strides(transA, m, k)
	bp, bj := strides(transB, k, n)
	for i := range m {
		for j := range n {
			var s float64
			if accumulate {
				s = cs[i*n+j]
			}
			for p := range k {
				s += as[i*ai+p*ap] * bs[p*bp+j*bj]
			}
			cs[i*n+j] = s
		}
	}
	store(c, cs)
}

// strides are the steps along the first and the second index of op(X), [rows, cols].
func strides(trans bool, rows, cols int) (first, second int) {
	if trans {
		return 1, rows
	}
	return cols, 1
}

// Refresh does nothing: products read the master.
func (*Engine) Refresh(*engine.Weight, int) {}

// Linear: y = x·wᵀ.
func (e *Engine) Linear(y, x engine.Buf, w *engine.Weight, n int) {
	e.MatMul(y, x, w.Master, false, true, n, w.Out, w.In, false)
}

// LinearBack: dx = dy·w.
func (e *Engine) LinearBack(dx, dy engine.Buf, w *engine.Weight, n int) {
	e.MatMul(dx, dy, w.Master, false, false, n, w.In, w.Out, false)
}

// LinearGrad: dw = dyᵀ·x, or dw + dyᵀ·x.
func (e *Engine) LinearGrad(dw, dy, x engine.Buf, n, out, in int, accumulate bool) {
	e.MatMul(dw, dy, x, true, false, out, in, n, accumulate)
}

// Embed: y[i] = table[ids[i]].
func (*Engine) Embed(y, table, ids engine.Buf, n, d int) {
	ys, ts := load(y), load(table)
	for i, id := range i32(ids)[:n] {
		copy(ys[i*d:i*d+d], ts[int(id)*d:int(id)*d+d])
	}
	store(y, ys)
}

// EmbedGrad: dtable[ids[i]] += dy[i], in the order of i.
func (*Engine) EmbedGrad(dtable, dy, ids engine.Buf, n, d int) {
	ts, gs := load(dtable), load(dy)
	for i, id := range i32(ids)[:n] {
		axpy(ts[int(id)*d:int(id)*d+d], 1, gs[i*d:i*d+d])
	}
	store(dtable, ts)
}
