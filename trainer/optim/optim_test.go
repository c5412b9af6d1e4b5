package optim

import (
	"math"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/reference"
)

var smallLayout = gradients.Layout{
	{Name: "w", Shape: []int{2, 2}, Off: 0},
	{Name: "norm", Shape: []int{3}, Off: 4},
}

func upload(e engine.Engine, v ...float32) engine.Buf {
	b := e.Alloc(len(v))
	e.Upload(b, v)
	return b
}

// The numbers come from torch 1.13: AdamW(betas=(.9, .95), eps=1e-8, weight_decay .1 for w and 0 for norm), learning rate
// .01·(t+1), clip_grad_norm_(1.0) before each step. The second gradient has norm 6.6 and is clipped.
func TestAdamWFollowsTorch(t *testing.T) {
	e := reference.New()
	defer e.Close()
	params := upload(e, 0.5, -1, 2, 0.25, 1, 1, 0.5)
	a := NewAdamW(e, smallLayout, AdamWConfig{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, GradClip: 1})
	for step, c := range []struct{ grads, want []float32 }{
		{[]float32{0.3, -0.1, 0.02, 0.5, 0.1, -0.2, 0.05},
			[]float32{0.489500016, -0.989000022, 1.98800004, 0.239749998, 0.99000001, 1.00999999, 0.49000001}},
		{[]float32{3, -1, 2, -5, 1, 0, -2},
			[]float32{0.468807787, -0.96730876, 1.96847975, 0.244245231, 0.970286727, 1.02357292, 0.502345145}},
		{[]float32{-0.1, 0.2, 0, 0.1, 0.3, 0.1, -0.1},
			[]float32{0.448156118, -0.963233232, 1.94431758, 0.247194231, 0.942471385, 1.02897179, 0.522043347}},
	} {
		if err := a.Step(params, upload(e, c.grads...), 0.01*float64(step+1)); err != nil {
			t.Fatal(err)
		}
		for i, got := range e.Host(params) {
			if math.Abs(float64(got-c.want[i])) > 3e-7 {
				t.Errorf("step %d: parameter %d is %.9g, torch has %.9g", step, i, got, c.want[i])
			}
		}
	}
	if a.Count != 3 {
		t.Errorf("count %d after 3 steps", a.Count)
	}
}

func TestAdamWRefusesWhatIsNoNumber(t *testing.T) {
	e := reference.New()
	defer e.Close()
	params := upload(e, 1, 1, 1, 1, 1, 1, 1)
	a := NewAdamW(e, smallLayout, AdamWConfig{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8})
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		if a.Step(params, upload(e, 1, 1, 1, float32(bad), 1, 1, 1), 0.1) == nil || e.Host(params)[0] != 1 || a.Count != 0 {
			t.Errorf("a gradient with %g was applied", bad)
		}
	}
}

func TestClipScale(t *testing.T) {
	for _, c := range []struct{ norm, limit, want float64 }{
		{5, 0, 1}, {0.5, 1, 1}, {1, 1, 1}, {4, 1, 1 / (4 + 1e-6)}, {0, 1, 1},
	} {
		if got := ClipScale(c.norm, c.limit); got != c.want {
			t.Errorf("norm %g, limit %g: %g, want %g", c.norm, c.limit, got, c.want)
		}
	}
}

func TestDecayCoversMatricesOnly(t *testing.T) {
	l := gradients.Layout{
		{Name: "a", Shape: []int{2, 2}, Off: 0}, {Name: "b", Shape: []int{1, 3}, Off: 4},
		{Name: "n", Shape: []int{2}, Off: 7}, {Name: "c", Shape: []int{2, 1}, Off: 9},
	}
	got := matrices(l)
	if len(got) != 2 || got[0] != [2]int{0, 7} || got[1] != [2]int{9, 11} {
		t.Errorf("ranges %v", got)
	}
}
