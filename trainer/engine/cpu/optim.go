package cpu

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
)

// SumSquares adds the sums of fixed blocks in order.
func (e *Engine) SumSquares(x engine.Buf) float64 {
	xs := f32(x)
	if tasks := ceil(len(xs), taskSize); len(e.squares) < tasks {
		e.squares = make([]float64, tasks)
	}
	e.team.spans(len(xs), 1, func(_ *worker, lo, hi int) { e.squares[lo/taskSize] = e.k.SumSquares(xs[lo:hi]) })
	var s float64
	for _, v := range e.squares[:ceil(len(xs), taskSize)] {
		s += v
	}
	return s
}

// AdamW walks over p in stretches that decay or do not.
func (e *Engine) AdamW(p, g, m, v engine.Buf, decay [][2]int, s engine.AdamW) {
	plain, at := adamScalars(s, 0), 0
	decaying := adamScalars(s, s.WeightDecay)
	for _, r := range decay {
		e.adamW(p, g, m, v, at, r[0], &plain)
		e.adamW(p, g, m, v, r[0], r[1], &decaying)
		at = r[1]
	}
	e.adamW(p, g, m, v, at, p.Len, &plain)
}

func (e *Engine) adamW(p, g, m, v engine.Buf, lo, hi int, s *kernels.AdamW) {
	ps, gs, ms, vs := f32(p)[lo:hi], f32(g)[lo:hi], f32(m)[lo:hi], f32(v)[lo:hi]
	e.team.spans(hi-lo, 1, func(_ *worker, lo, hi int) { e.k.AdamW(ps[lo:hi], gs[lo:hi], ms[lo:hi], vs[lo:hi], s) })
}

func adamScalars(s engine.AdamW, decay float64) kernels.AdamW {
	b1, b2, t := s.Beta1, s.Beta2, float64(s.Count)
	return kernels.AdamW{
		Scale: s.Scale,
		Beta1: float32(b1), Rest1: float32(1 - b1),
		Beta2: float32(b2), Rest2: float32(1 - b2),
		Keep:     float32(1 - s.LR*decay),
		Rate:     float32(s.LR / (1 - math.Pow(b1, t))),
		Correct2: float32(1 / (1 - math.Pow(b2, t))),
		Eps:      float32(s.Eps),
	}
}
