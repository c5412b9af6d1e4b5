package cpu

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// Normalise divides by the norm.
func (e *Engine) Normalise(x engine.Buf, floor float64) {
	e.Mix(x, engine.Number(1/(math.Sqrt(e.sumSquares(x))+floor)), x, engine.Number(0), x)
}

// Clip: see engine.ClipScale.
func (e *Engine) Clip(step, x, guard engine.Buf, limit float64) {
	hostmem.Clip(step, guard, math.Sqrt(e.sumSquares(x)), limit)
}

// sumSquares adds the sums of fixed blocks in order.
func (e *Engine) sumSquares(x engine.Buf) float64 {
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
	step := hostmem.Float64(s.Step)
	if math.IsNaN(step[engine.StepScale]) {
		return
	}
	plain, at := adamScalars(s, step, 0), 0
	decaying := adamScalars(s, step, s.WeightDecay)
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

func adamScalars(s engine.AdamW, step []float64, decay float64) kernels.AdamW {
	b1, b2, lr := s.Beta1, s.Beta2, step[engine.StepRate]
	return kernels.AdamW{
		Scale: float32(step[engine.StepScale]),
		Beta1: float32(b1), Rest1: float32(1 - b1),
		Beta2: float32(b2), Rest2: float32(1 - b2),
		Keep:     float32(1 - lr*decay),
		Rate:     float32(lr / step[engine.StepFirst]),
		Correct2: float32(1 / step[engine.StepSecond]),
		Eps:      float32(s.Eps),
	}
}
