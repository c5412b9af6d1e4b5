package reference

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// Head: with p = softmax(x·wᵀ), the gradient towards the logits is Scale/N·(p − onehot + 2·Z·lse·p); from there as in
// LinearBack and LinearGrad.
func (*Engine) Head(loss, dx, dw, x engine.Buf, w *engine.Weight, targets engine.Buf, n int, l engine.Loss) {
	xs, ws, ids := load(x), load(w.Master), i32(targets)
	dxs, dws := make([]float64, dx.Len), load(dw)
	if !l.Accumulate {
		clear(dws)
	}
	scale := float64(l.Scale) / float64(n)
	var sum float64
	for i := range n {
		row, logits := xs[i*w.In:(i+1)*w.In], make([]float64, w.Out)
		for j := range logits {
			logits[j] = dot(row, ws[j*w.In:(j+1)*w.In])
		}
		lse := logSumExp(logits)
		sum += lse - logits[ids[i]]
		if dx.Len == 0 {
			continue
		}
		for j, v := range logits {
			g := math.Exp(v-lse) * (1 + 2*float64(l.Z)*lse)
			if j == int(ids[i]) {
				g--
			}
			axpy(dxs[i*w.In:(i+1)*w.In], scale*g, ws[j*w.In:(j+1)*w.In])
			axpy(dws[j*w.In:(j+1)*w.In], scale*g, row)
		}
	}
	hostmem.Tally(loss, sum/float64(n), l.Accumulate)
	store(dx, dxs)
	store(dw, dws)
}

func logSumExp(x []float64) float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, v)
	}
	var s float64
	for _, v := range x {
		s += math.Exp(v - top)
	}
	return top + math.Log(s)
}
