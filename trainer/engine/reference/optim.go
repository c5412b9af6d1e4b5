package reference

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
)

// SumSquares: Σ x².
func (*Engine) SumSquares(x engine.Buf) float64 {
	var s float64
	for _, v := range load(x) {
		s += v * v
	}
	return s
}

// AdamW: p ← p·(1 − lr·λ) − lr·m̂/(√v̂ + eps) with bias-corrected moments (arXiv:1711.05101, algorithm 2; the schedule is in lr).
func (*Engine) AdamW(p, g, m, v engine.Buf, decay [][2]int, s engine.AdamW) {
	ps, gs, ms, vs := load(p), load(g), load(m), load(v)
	b1, b2, lr := s.Beta1, s.Beta2, s.LR
	correct1 := 1 - math.Pow(b1, float64(s.Count))
	correct2 := 1 - math.Pow(b2, float64(s.Count))
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
		g := gs[i] * float64(s.Scale)
		ms[i] = b1*ms[i] + (1-b1)*g
		vs[i] = b2*vs[i] + (1-b2)*g*g
		ps[i] = ps[i]*keep[i] - lr*(ms[i]/correct1)/(math.Sqrt(vs[i]/correct2)+s.Eps)
	}
	store(p, ps)
	store(m, ms)
	store(v, vs)
}
