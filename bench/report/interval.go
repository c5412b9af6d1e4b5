package report

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Estimate is a mean and how sure it is.
type Estimate struct {
	Mean float64 // NaN without values
	Half float64 // half the width of its 95 % interval by Student's t; NaN with fewer than two values
	N    int     // values
}

// estimate takes the values as independent and near to normal. Paired differences are those of Student's paired test.
func estimate(values []float64) Estimate {
	n := len(values)
	e := Estimate{Mean: mean(values), Half: math.NaN(), N: n}
	if n > 1 {
		t := distuv.StudentsT{Sigma: 1, Nu: float64(n - 1)}.Quantile(0.975)
		e.Half = t * stat.StdDev(values, nil) / math.Sqrt(float64(n))
	}
	return e
}

// Bounds are the ends of the interval.
func (e Estimate) Bounds() (low, high float64) { return e.Mean - e.Half, e.Mean + e.Half }

// mean of nothing is NaN.
func mean(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return stat.Mean(values, nil)
}

func each[T, U any](list []T, f func(T) U) (out []U) {
	for _, x := range list {
		out = append(out, f(x))
	}
	return out
}

// format prints mean and interval with so many digits behind the point; verb is %.*f or %+.*f.
func (e Estimate) format(verb string, digits int) string {
	switch {
	case e.N == 0 || math.IsNaN(e.Mean):
		return "–"
	case math.IsNaN(e.Half):
		return fmt.Sprintf(verb, digits, e.Mean)
	}
	return fmt.Sprintf(verb+" ± %.*f", digits, e.Mean, digits, e.Half)
}

// times scales an estimate.
func (e Estimate) times(k float64) Estimate { return Estimate{k * e.Mean, math.Abs(k) * e.Half, e.N} }
