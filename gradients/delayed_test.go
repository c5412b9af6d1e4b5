package gradients_test

import (
	"math"
	"testing"

	"github.com/skein-train/skein/gradients"
)

// n equal contributions from one state move the parameters and the momentum as one step of Nesterov along their mean does.
func TestDelayedNesterovOfEqualPushesIsNesterov(t *testing.T) {
	for _, n := range []int{1, 2, 5} {
		late, at := gradients.DelayedNesterov(0.9, n), gradients.Nesterov(0.9)
		a, b := []gradients.Vec{make(gradients.Vec, 3), make(gradients.Vec, 3)}, []gradients.Vec{make(gradients.Vec, 3)}
		outer := uint64(0)
		for round := range 6 {
			push := func() gradients.Vec { return gradients.Vec{1, float32(round), -0.5} }
			moved := make(gradients.Vec, 3)
			for range n {
				v := push()
				outer++
				late.Apply(gradients.Step{Outer: outer}, v, nil, a)
				gradients.Axpy(moved, 1, v)
			}
			want := push()
			at.Apply(gradients.Step{}, want, nil, b)
			for i := range want {
				if math.Abs(float64(moved[i]-want[i])) > 1e-5*(1+math.Abs(float64(want[i]))) {
					t.Errorf("%d pushes, round %d: moved by %v, Nesterov by %v", n, round, moved, want)
				}
			}
		}
	}
}

func TestSignAndDecay(t *testing.T) {
	v, anchor := gradients.Vec{3, -0.1, 0, 2}, gradients.Vec{10, 10, 10, 10}
	gradients.Chain(gradients.Sign(), gradients.Decay(0.25, [][2]int{{1, 3}}), gradients.Rate()).Apply(gradients.Step{LR: 0.5}, v, anchor, nil)
	for i, want := range []float32{0.5, 0.75, 1.25, 0.5} {
		if v[i] != want {
			t.Errorf("element %d is %g, want %g", i, v[i], want)
		}
	}
}
