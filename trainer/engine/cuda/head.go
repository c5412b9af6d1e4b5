package cuda

import "github.com/skein-train/skein/trainer/engine"

// headLogits is the most logits that exist at once, unless a block of headLeast rows has more: 256 MiB of F32. The more rows,
// the fewer times the weight's gradient is read and written.
const (
	headLogits = 1 << 26
	headLeast  = 128
)

// headRows is how many rows of n make a block: a multiple of a large tile's.
func headRows(n, vocabulary, most int) int {
	return min(n, max(headLeast, most/vocabulary/headLeast*headLeast))
}

// Head takes block of rows by block of rows through the projection, the softmax and, where gradients are asked for, back.
// Rows are independent; their losses are added in order.
func (e *Engine) Head(loss, dx, dw, x engine.Buf, w *engine.Weight, targets engine.Buf, n int, l engine.Loss) {
	const team = 256 // as in head.cu
	v, d, ld := w.Out, w.In, ceil(w.Out, 8)*8
	rows := headRows(n, v, e.mostLogits)
	weight := e.weight(w)
	all, losses := e.buf(&e.slots.logits, rows*ld, engine.F32), e.buf(&e.slots.losses, n, engine.F32)
	gradient := 0
	if dx.Len > 0 {
		gradient = 1
	}
	for lo := 0; lo < n; lo += rows {
		m := min(rows, n-lo)
		part := x.Slice(lo*d, (lo+m)*d)
		in := e.operand(part, m, d, &e.slots.left)
		e.multiply(product{form: nt, m: m, n: v, k: d, a: in, b: weight, c: all, ldc: ld})
		e.launch("head_loss", blocks(m), team, 0, at(all), at(losses.Slice(lo, lo+m)), at(targets.Slice(lo, lo+m)), i32(v), i32(ld),
			f32(l.Scale/float32(n)), f32(l.Z), i32(gradient))
		if gradient == 0 {
			continue
		}
		dlogits := matrix{all.Addr, 2 * ld}
		e.multiply(product{form: tn, m: v, n: d, k: m, a: dlogits, b: in, c: dw, ldc: d, add: l.Accumulate || lo > 0})
		e.multiply(product{form: nn, m: m, n: d, k: v, a: dlogits, b: weight, c: dx.Slice(lo*d, (lo+m)*d), ldc: d}) // last: dx may be x
	}
	if n > 0 {
		add := 0
		if l.Accumulate {
			add = 1
		}
		e.launch("head_mean", blocks(1), team, 0, at(loss), at(losses), i32(n), i32(add))
	}
}
