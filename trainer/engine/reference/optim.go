package reference

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
)

// SumSquares: Σ x².
func (*Engine) SumSquares(x engine.Buf) float64 {
	var s float64
	for _, v := range f32(x) {
		s += float64(v) * float64(v)
	}
	return s
}

// AdamW: p ← p·(1 − lr·λ) − lr·m̂/(√v̂ + eps) with bias-corrected moments (arXiv:1711.05101, algorithm 2; the schedule is in lr).
func (*Engine) AdamW(p, g, m, v engine.Buf, decay [][2]int, s engine.AdamW) {
	ps, gs, ms, vs := f32(p), f32(g), f32(m), f32(v)
	b1, b2, lr := float64(s.Beta1), float64(s.Beta2), float64(s.LR)
	correct1 := 1 - math.Pow(b1, float64(s.Count))
	correct2 := 1 - math.Pow(b2, float64(s.Count))
	keep := make([]float64, len(ps))
	for i := range keep {
		keep[i] = 1
	}
	for _, r := range decay {
		for i := r[0]; i < r[1]; i++ {
			keep[i] = 1 - lr*float64(s.WeightDecay)
		}
	}
	for i := range ps {
		g := float64(gs[i]) * float64(s.Scale)
		m := b1*float64(ms[i]) + (1-b1)*g
		v := b2*float64(vs[i]) + (1-b2)*g*g
		ps[i] = float32(float64(ps[i])*keep[i] - lr*(m/correct1)/(math.Sqrt(v/correct2)+float64(s.Eps)))
		ms[i], vs[i] = float32(m), float32(v)
	}
}
