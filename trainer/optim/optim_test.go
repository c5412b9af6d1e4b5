package optim

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/reference"
)

var none engine.Buf // for a guard

var smallLayout = gradients.Layout{
	{Name: "w", Shape: []int{2, 2}, Off: 0},
	{Name: "norm", Shape: []int{3}, Off: 4},
}

func isW(t gradients.Tensor) bool { return t.Name == "w" }

func small(kind string) Config {
	return Config{Kind: kind, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, Momentum: 0.95, WeightDecay: 0.1, GradClip: 1}
}

func TestWhatIsNoNumberIsRefused(t *testing.T) {
	for _, kind := range []string{"adamw", "muon"} {
		e := reference.New()
		o, err := New(e, smallLayout, isW, small(kind))
		if err != nil {
			t.Fatal(err)
		}
		params := upload(e, 1, 1, 1, 1, 1, 1, 1)
		guard := engine.Scalars(e, 1)
		for _, bad := range []float64{math.NaN(), math.Inf(1)} {
			e.Set(guard, []float64{bad})
			for of, grads := range map[engine.Buf]engine.Buf{none: upload(e, 1, 1, 1, float32(bad), 1, 1, 1), guard: upload(e, 1, 1, 1, 1, 1, 1, 1)} {
				err := o.Step(params, grads, of, 0.1)
				if !errors.Is(err, ErrNotFinite) || slices.ContainsFunc(e.Host(params), func(x float32) bool { return x != 1 }) || o.Count != 0 {
					t.Errorf("%s: %g was applied: %v", kind, bad, err)
				}
			}
			for i, m := range o.Moments() {
				if slices.ContainsFunc(e.Host(m.Buf), func(x float32) bool { return x != 0 }) {
					t.Errorf("%s: a gradient with %g got into moments %d", kind, bad, i)
				}
			}
		}
	}
}

func TestMomentsHoldEachTensorOnce(t *testing.T) {
	e := reference.New()
	for kind, want := range map[string][]int{"adamw": {7, 7}, "muon": {4, 3, 3}} {
		o, err := New(e, smallLayout, isW, small(kind))
		if err != nil {
			t.Fatal(err)
		}
		var lens []int
		for _, m := range o.Moments() {
			lens = append(lens, m.Len)
		}
		if last := o.Moments()[len(lens)-1]; !slices.Equal(lens, want) || !last.Squares {
			t.Errorf("%s: moments of %v values, want %v, the last ones means of squares", kind, lens, want)
		}
	}
}

func TestResetIsANewOptimizer(t *testing.T) {
	for _, kind := range []string{"adamw", "muon"} {
		e := reference.New()
		o, err := New(e, smallLayout, isW, small(kind))
		if err != nil {
			t.Fatal(err)
		}
		after := func() []float32 { // equal gradients would look the same to Adam, whatever came before
			grads := upload(e, float32(o.Count+1), -2, 3, 4, 1, 2, -1)
			p := upload(e, 1, 1, 2, 1, 1, 1, 1)
			if err := o.Step(p, grads, none, 0.1); err != nil {
				t.Fatal(err)
			}
			return e.Host(p)
		}
		first, second := after(), after()
		if slices.Equal(first, second) {
			t.Fatalf("%s: the second step does not see the first", kind)
		}
		if o.Reset(); !slices.Equal(after(), first) {
			t.Errorf("%s: a step after Reset is not the first one", kind)
		}
	}
}

func TestConfigNamesWhatIsOutOfRange(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`optimizer "sgd"`:   func(c *Config) { c.Kind = "sgd" },
		"betas [1, 0.95]":   func(c *Config) { c.Beta1 = 1 },
		"eps 0":             func(c *Config) { c.Eps = 0 },
		"momentum 1":        func(c *Config) { c.Momentum = 1 },
		"momentum NaN":      func(c *Config) { c.Momentum = math.NaN() },
		"weight_decay -1":   func(c *Config) { c.WeightDecay = -1 },
		"grad_clip -0.0001": func(c *Config) { c.GradClip = -1e-4 },
	} {
		c := small("muon")
		change(&c)
		if _, err := New(reference.New(), smallLayout, isW, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
}

func TestStretchesDecayMatricesOnly(t *testing.T) {
	got, n := stretchesOf([]gradients.Tensor{
		{Name: "a", Shape: []int{2, 2}, Off: 0}, {Name: "b", Shape: []int{1, 3}, Off: 4}, {Name: "n", Shape: []int{2}, Off: 7},
		{Name: "c", Shape: []int{2, 1}, Off: 9}, {Name: "after a gap", Shape: []int{3}, Off: 20}, {Name: "d", Shape: []int{1, 1}, Off: 23},
	})
	want := []stretch{{0, 11, 0, [][2]int{{0, 7}, {9, 11}}}, {20, 24, 11, [][2]int{{3, 4}}}}
	equal := func(a, b stretch) bool {
		return a.lo == b.lo && a.hi == b.hi && a.at == b.at && slices.Equal(a.decay, b.decay)
	}
	if n != 15 || !slices.EqualFunc(got, want, equal) {
		t.Errorf("stretches %v of %d elements, want %v", got, n, want)
	}
}
