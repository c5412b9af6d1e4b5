package hostmem

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
)

// Factor is a scalar as kernels multiply by it.
func Factor(s engine.Scalar) float32 {
	if s.At.Len > 0 {
		s.Value *= Float64(s.At)[0]
	}
	return float32(s.Value)
}

// Factors are two scalars; without ok one of them is NaN, and the call has nothing to do.
func Factors(s, t engine.Scalar) (a, b float32, ok bool) {
	a, b = Factor(s), Factor(t)
	return a, b, a == a && b == b
}

// Clip is engine.Engine's, of a vector with that norm.
func Clip(step, guard engine.Buf, norm, limit float64) {
	scalars := Float64(step)
	scalars[0] = engine.ClipScale(norm, limit)
	if finite(norm) && (guard.Len == 0 || finite(Float64(guard)[0])) {
		return
	}
	for i := range scalars {
		scalars[i] = math.NaN()
	}
}

func finite(x float64) bool { return x-x == 0 }

// Tally sets a loss, or adds to it.
func Tally(loss engine.Buf, mean float64, add bool) {
	l := Float64(loss)
	if !add {
		l[0] = 0
	}
	l[0] += float64(float32(mean))
}
