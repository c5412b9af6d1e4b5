package gradients_test

import (
	"math"
	"slices"
	"testing"

	"github.com/skein-train/skein/gradients"
)

// history runs an outer loop θ ← θ − d over pseudo-gradients of one element.
func history(tr gradients.Transform, deltas ...float32) []float32 {
	st := make([]gradients.Vec, tr.Slots())
	for i := range st {
		st[i] = gradients.Vec{0}
	}
	theta, out := gradients.Vec{0}, []float32{}
	for i, d := range deltas {
		v := gradients.Vec{d}
		tr.Apply(gradients.Step{Outer: uint64(i + 1)}, v, theta, st)
		gradients.Sub(theta, theta, v)
		out = append(out, theta[0])
	}
	return out
}

// The histories of torch.optim.SGD with lr .7 and momentum .9 for Δ = 1, 1, −.5, 0, as a person can compute them.
func TestOuterHistoriesByHand(t *testing.T) {
	for _, k := range []struct {
		name string
		tr   gradients.Transform
		want []float32
	}{
		{"nesterov", gradients.Chain(gradients.Nesterov(.9), gradients.Scale(.7)), []float32{-1.33, -3.227, -3.6393, -4.32537}},
		{"heavy ball", gradients.Chain(gradients.Momentum(.9), gradients.Scale(.7)), []float32{-.7, -2.03, -2.877, -3.6393}},
		{"plain", gradients.Scale(.5), []float32{-.5, -1, -.75, -.75}},
		{"nothing", gradients.Chain(), []float32{-1, -2, -1.5, -1.5}},
	} {
		got := history(k.tr, 1, 1, -.5, 0)
		for i := range got {
			if math.Abs(float64(got[i]-k.want[i])) > 1e-6 {
				t.Errorf("%s: got %v, want %v", k.name, got, k.want)
				break
			}
		}
	}
}

func TestChainGivesEveryPartItsOwnSlots(t *testing.T) {
	tr := gradients.Chain(gradients.Momentum(.5), gradients.Chain(gradients.Scale(2), gradients.Nesterov(.25)))
	if tr.Slots() != 2 {
		t.Fatalf("slots: got %d, want 2", tr.Slots())
	}
	st := []gradients.Vec{{4}, {8}}
	v := gradients.Vec{1}
	tr.Apply(gradients.Step{Outer: 1}, v, gradients.Vec{0}, st)
	// m1 = .5·4+1 = 3; scaled 6; m2 = .25·8+6 = 8; v = 6+.25·8 = 8
	if v[0] != 8 || st[0][0] != 3 || st[1][0] != 8 {
		t.Errorf("got v %v, slots %v", v, st)
	}
}

// Four steps of torch.optim.AdamW 1.13: betas (.9, .95), eps 1e-8, weight decay .1 on the first two parameters.
func TestAdamWEqualsTorch(t *testing.T) {
	tr := gradients.AdamW(gradients.AdamWOptions{Beta1: .9, Beta2: .95, Eps: 1e-8, WeightDecay: .1, Decay: [][2]int{{0, 2}}})
	theta := gradients.Vec{1, -1, .5, .25}
	st := []gradients.Vec{make(gradients.Vec, 4), make(gradients.Vec, 4)}
	for i, k := range []struct {
		lr          float32
		grad, theta gradients.Vec
	}{
		{1e-2, gradients.Vec{1, 0, -2, .5}, gradients.Vec{0.989, -0.999, 0.51, 0.24}},
		{2e-2, gradients.Vec{.5, .25, 0, -.5}, gradients.Vec{0.9682362, -1.0117012, 0.5235729, 0.24105263}},
		{1e-2, gradients.Vec{-1, .75, 1, .001}, gradients.Vec{0.9661603, -1.018395, 0.52537256, 0.24145557}},
		{5e-3, gradients.Vec{.125, -3, 1e-6, 0}, gradients.Vec{0.9649748, -1.0159664, 0.52611923, 0.24162276}},
	} {
		v := slices.Clone(k.grad)
		tr.Apply(gradients.Step{Outer: uint64(i + 1), LR: k.lr}, v, theta, st)
		gradients.Sub(theta, theta, v)
		close(t, "theta", theta, k.theta)
	}
	close(t, "m", st[0], gradients.Vec{0.0359, -0.21225001, -0.055799883, -0.0039600017})
	close(t, "v", st[1], gradients.Vec{0.102431245, 0.47953907, 0.218975, 0.021998484})
}

func close(t *testing.T, what string, got, want gradients.Vec) {
	t.Helper()
	for i := range want {
		if diff := math.Abs(float64(got[i] - want[i])); diff > 1e-7+2e-7*math.Abs(float64(want[i])) {
			t.Errorf("%s[%d]: got %v, want %v", what, i, got[i], want[i])
		}
	}
}

func TestClipNorm(t *testing.T) {
	v := gradients.Vec{3, -4}
	gradients.ClipNorm(5).Apply(gradients.Step{}, v, v, nil)
	if !slices.Equal(v, gradients.Vec{3, -4}) {
		t.Errorf("norm 5 was clipped to %v at 5", v)
	}
	gradients.ClipNorm(1).Apply(gradients.Step{}, v, v, nil)
	close(t, "clipped", v, gradients.Vec{.6, -.8})
	if gradients.Norm(v) > 1 {
		t.Errorf("norm is %g after clipping to 1", gradients.Norm(v))
	}
}
