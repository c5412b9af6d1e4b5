package gradients_test

import (
	"math"
	"slices"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
	"pgregory.net/rapid"
)

// departure is an update on its way.
type departure struct{ a, decoded gradients.Vec }

// Whatever rounds decide and however many departures are in flight: what went in is what came out of the included
// rounds plus what is still here. With dyadic values and a codec that keeps some of their places it holds exactly.
func TestEnergyIsNeitherLostNorSentTwice(t *testing.T) {
	const n = 64
	exact := map[string]bool{"f32": true, "bf16": true, "topk:3/16+f32": true, "mask:1/4+f32": true}
	for _, name := range []string{"f32", "bf16", "int8", "int8+zstd", "e3m0", "int4", "2bit", "1bit",
		"topk:3/16+f32", "topk:5/8x8+2bit", "mask:1/4+f32", "dct:3/8+f32"} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				c, _ := codecFor(t, name, n)
				in, out := make([]float64, n), make([]float64, n)
				residual := make(gradients.Vec, n)
				var flying []departure
				for range rapid.IntRange(1, 12).Draw(t, "events") {
					if len(flying) == 0 || len(flying) < 3 && rapid.Bool().Draw(t, "depart") {
						a := dyadic(rapid.Uint64().Draw(t, "seed"), n)
						add(in, a)
						gradients.Compensate(a, residual, 1)
						v := make(gradients.Vec, n)
						if err := gradients.Decoded(c, v, c.Append(nil, gradients.Key{}, a, nil)); err != nil {
							t.Fatal(err)
						}
						flying = append(flying, departure{a, v})
						continue
					}
					d := flying[0]
					flying = flying[1:]
					if rapid.Bool().Draw(t, "included") {
						add(out, d.decoded)
						gradients.Settle(residual, d.a, d.decoded)
					} else {
						gradients.Settle(residual, d.a, nil)
					}
				}
				for _, d := range flying {
					add(out, d.a)
				}
				add(out, residual)
				for i := range in {
					tolerance := 0.0
					if !exact[name] { // their values are no dyadic numbers
						tolerance = 1e-4
					}
					if math.Abs(in[i]-out[i]) > tolerance {
						t.Fatalf("element %d: %g went in, %g is accounted for", i, in[i], out[i])
					}
				}
			})
		})
	}
}

// dyadic draws multiples of 1/64 below 32: sums of a dozen are exact in float32.
func dyadic(seed uint64, n int) gradients.Vec {
	v := codectest.Values("gaussian", seed, n)
	for i, x := range v {
		v[i] = float32(math.Round(float64(x)*64*1000)) / 64
	}
	return v
}

func add(sum []float64, v gradients.Vec) {
	for i, x := range v {
		sum[i] += float64(x)
	}
}

func TestFeedbackByHand(t *testing.T) {
	residual, a := gradients.Vec{4, -2}, gradients.Vec{1, 1}
	gradients.Compensate(a, residual, .5)
	if !slices.Equal(a, gradients.Vec{3, 0}) || !slices.Equal(residual, gradients.Vec{0, 0}) {
		t.Errorf("compensate: a %v, residual %v", a, residual)
	}
	gradients.Settle(residual, a, gradients.Vec{2, 1})
	if !slices.Equal(residual, gradients.Vec{1, -1}) {
		t.Errorf("included: residual %v", residual)
	}
	gradients.Settle(residual, a, nil)
	if !slices.Equal(residual, gradients.Vec{4, -1}) {
		t.Errorf("left out: residual %v", residual)
	}
}

// What int8 loses in one round it sends in the next ones: the mean of what arrives approaches the constant input.
func TestFeedbackSendsWhatInt8Loses(t *testing.T) {
	c, _ := codecFor(t, "int8", 2)
	residual, total, v := make(gradients.Vec, 2), make([]float64, 2), make(gradients.Vec, 2)
	const rounds = 1000
	for range rounds {
		a := gradients.Vec{1, 0.001} // alone, the second is below half a step of 1/127 for ever
		gradients.Compensate(a, residual, 1)
		if err := gradients.Decoded(c, v, c.Append(nil, gradients.Key{}, a, nil)); err != nil {
			t.Fatal(err)
		}
		gradients.Settle(residual, a, v)
		add(total, v)
	}
	if got := total[1] / rounds; math.Abs(got-0.001) > 1e-5 {
		t.Errorf("mean of what arrived: %g, want 0.001", got)
	}
}
