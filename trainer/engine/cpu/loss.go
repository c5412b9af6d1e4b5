package cpu

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
)

// CrossEntropy: rows are independent; their losses are added in order, in float64.
func (e *Engine) CrossEntropy(loss, lse, logits, targets engine.Buf, n, v int) {
	ls, xs, is := f32(lse), f32(logits), i32(targets)
	e.team.spans(n, v, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := xs[i*v : i*v+v]
			top := e.k.Max(row)
			ls[i] = top + float32(math.Log(float64(e.k.SumExp(row, top))))
		}
	})
	var sum float64
	for i, id := range is[:n] {
		sum += float64(ls[i]) - float64(xs[i*v : i*v+v][id])
	}
	f32(loss)[0] = float32(sum / float64(n))
}

// CrossEntropyGrad: rows are independent, and may be rewritten where they lie.
func (e *Engine) CrossEntropyGrad(dlogits, logits, lse, targets engine.Buf, n, v int, scale float32) {
	ds, ls, xs, is := f32(dlogits), f32(lse), f32(logits), i32(targets)
	s := scale / float32(n)
	e.team.spans(n, v, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := ds[i*v : i*v+v]
			e.k.ExpScale(row, xs[i*v:i*v+v], ls[i], s)
			row[is[i]] -= s
		}
	})
}
