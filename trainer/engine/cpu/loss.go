package cpu

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// headRows is how many rows of logits exist at a time: as many as keep the products large, in most elements.
func headRows(n, vocab, most int) int {
	const least = 128
	return min(n, max(least, most/vocab))
}

// headLogits is the elements of a block of logits: a few megabytes.
const headLogits = 1 << 20

// Head takes block of rows by block of rows through the projection, the softmax and, where gradients are asked for, back.
// Rows are independent; their losses are added in order, in float64.
func (e *Engine) Head(loss, dx, dw, x engine.Buf, w *engine.Weight, targets engine.Buf, n int, l engine.Loss) {
	v, d, ids := w.Out, w.In, i32(targets)
	rows := headRows(n, v, e.most)
	if w.Form == nil && rows < n { // the same weight in every block
		e.head.Master, e.head.Out, e.head.In = w.Master, v, d
		w = &e.head
		e.Refresh(w, 2)
	}
	all, losses := e.logits.words(rows*v, engine.F32), e.losses.words(n, engine.F32)
	grads := all
	if e.compute == engine.BF16 {
		grads = e.narrowed.words(rows*v, engine.BF16)
	}
	for lo := 0; lo < n; lo += rows {
		hi := min(lo+rows, n)
		logits, dlogits := all.Slice(0, (hi-lo)*v), grads.Slice(0, (hi-lo)*v)
		e.Linear(logits, x.Slice(lo*d, hi*d), w, hi-lo)
		if dx.Len == 0 {
			e.softmax(f32(logits), nil, f32(losses)[lo:hi], ids[lo:hi], v, l.Scale/float32(n), l.Z)
			continue
		}
		to := e.view(dlogits)
		e.softmax(f32(logits), &to, f32(losses)[lo:hi], ids[lo:hi], v, l.Scale/float32(n), l.Z)
		e.LinearGrad(dw, dlogits, x.Slice(lo*d, hi*d), hi-lo, v, d, l.Accumulate || lo > 0)
		e.LinearBack(dx.Slice(lo*d, hi*d), dlogits, w, hi-lo)
	}
	var sum float64
	for _, x := range f32(losses) {
		sum += float64(x)
	}
	hostmem.Tally(loss, sum/float64(n), l.Accumulate)
}

// softmax writes the loss of each row of logits and, unless grads is nil, its gradient: to grads and to logits, which may be
// the same.
func (e *Engine) softmax(logits []float32, grads *view, losses []float32, ids []int32, v int, scale, z float32) {
	e.team.spans(len(ids), v, func(_ *worker, lo, hi int) {
		for i := lo; i < hi; i++ {
			row := logits[i*v : i*v+v]
			top := e.k.Max(row)
			lse := top + float32(math.Log(float64(e.k.SumExp(row, top))))
			losses[i] = lse - row[ids[i]]
			if grads != nil {
				e.k.ExpScale(row, row, lse, scale*(1+2*z*lse))
				row[ids[i]] -= scale
				grads.put(i*v, row)
			}
		}
	})
}
