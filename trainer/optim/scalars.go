package optim

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
)

// scalars are the numbers that change from step to step, in engine memory: the calls of a step are then the same in all of them.
// Those of AdamW come first, as engine.AdamW has them; a step that is refused finds NaN in all.
type scalars struct {
	step engine.Buf // F64
	host []float64  // as many
}

// Muon's own.
const (
	muonKeep  = engine.StepScalars + iota // 1 − lr·λ
	muonRate                              // −lr·0.2
	scalarsOf                             // their number
)

func newScalars(e engine.Engine) scalars {
	return scalars{engine.Scalars(e, scalarsOf), make([]float64, scalarsOf)}
}

// at is one of them, times a number.
func (s scalars) at(i int, times float64) engine.Scalar {
	return engine.Scalar{Value: times, At: s.step.Slice(i, i+1)}
}

// set readies them for step count, from 1 on; the scale is for Clip to find.
func (s scalars) set(e engine.Engine, c Config, lr float64, count uint64) {
	t := float64(count)
	s.host[engine.StepRate] = lr
	s.host[engine.StepFirst], s.host[engine.StepSecond] = 1-math.Pow(c.Beta1, t), 1-math.Pow(c.Beta2, t)
	s.host[muonKeep], s.host[muonRate] = 1-lr*c.WeightDecay, -lr*rmsOfAdamW
	e.Set(s.step, s.host)
}

// scale is what Clip has left: NaN if the step is refused. It waits.
func (s scalars) scale(e engine.Engine) float64 {
	var x [1]float64
	e.Get(x[:], s.step.Slice(engine.StepScale, engine.StepScale+1))
	return x[0]
}
