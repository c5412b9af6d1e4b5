package reference

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// Normalise: x/(‖x‖ + floor).
func (e *Engine) Normalise(x engine.Buf, floor float64) {
	e.Mix(x, engine.Number(1/(length(x)+floor)), x, engine.Number(0), x)
}

// Clip: see engine.ClipScale.
func (*Engine) Clip(step, x, guard engine.Buf, limit float64) {
	hostmem.Clip(step, guard, length(x), limit)
}

// length is ‖x‖.
func length(x engine.Buf) float64 {
	var s float64
	for _, v := range load(x) {
		s += v * v
	}
	return math.Sqrt(s)
}

// AdamW: p ← p·(1 − lr·λ) − lr·m̂/(√v̂ + eps) with bias-corrected moments (arXiv:1711.05101, algorithm 2; the schedule is in lr).
func (*Engine) AdamW(p, g, m, v engine.Buf, decay [][2]int, s engine.AdamW) {
	step := hostmem.Float64(s.Step)
	scale, lr := float64(float32(step[engine.StepScale])), step[engine.StepRate]
	correct1, correct2 := step[engine.StepFirst], step[engine.StepSecond]
	if scale != scale {
		return
	}
	ps, gs, ms, vs := load(p), load(g), load(m), load(v)
	b1, b2 := s.Beta1, s.Beta2
	keep := make([]float64, len(ps))
	for i := range keep {
		keep[i] = 1
	}
	for _, r := range decay {
		for i := r[0]; i < r[1]; i++ {
			keep[i] = 1 - lr*s.WeightDecay
		}
	}
	for i := range ps {
		g := gs[i] * scale
		ms[i] = b1*ms[i] + (1-b1)*g
		vs[i] = b2*vs[i] + (1-b2)*g*g
		ps[i] = ps[i]*keep[i] - lr*(ms[i]/correct1)/(math.Sqrt(vs[i]/correct2)+s.Eps)
	}
	store(p, ps)
	store(m, ms)
	store(v, vs)
}
