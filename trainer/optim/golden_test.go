package optim

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// golden is what scripts/golden-optim.py writes.
type golden struct {
	Config struct {
		Kind        string
		Betas       [2]float64
		Eps         float64
		Momentum    float64
		WeightDecay float64 `json:"weight_decay"`
		GradClip    float64 `json:"grad_clip"`
	}
	Tensors []struct {
		Name   string
		Shape  []int
		Hidden bool
	}
	Params []float32
	Steps  []struct {
		LR     float64
		Grads  []float32
		Params []float64
	}
}

func (g golden) config() Config {
	c := g.Config
	return Config{
		Kind: c.Kind, Beta1: c.Betas[0], Beta2: c.Betas[1], Eps: c.Eps, Momentum: c.Momentum,
		WeightDecay: c.WeightDecay, GradClip: c.GradClip,
	}
}

func (g golden) layout() (l gradients.Layout) {
	for _, t := range g.Tensors {
		l = append(l, gradients.Tensor{Name: t.Name, Shape: t.Shape, Off: l.Len()})
	}
	return l
}

func (g golden) hidden(t gradients.Tensor) bool {
	for _, own := range g.Tensors {
		if own.Name == t.Name {
			return own.Hidden
		}
	}
	return false
}

// goldenTolerance bounds |got − want|/(1 + |want|): float32 storage is good to 6e-8 a rounding.
const goldenTolerance = 1e-6

func TestGoldenSteps(t *testing.T) {
	for _, kind := range []string{"adamw", "muon"} {
		for name, open := range engines {
			t.Run(kind+"/"+name, func(t *testing.T) {
				src, err := os.ReadFile("testdata/" + kind + ".json")
				if err != nil {
					t.Fatal(err)
				}
				var g golden
				if err := json.Unmarshal(src, &g); err != nil {
					t.Fatal(err)
				}
				g.replay(t, open(t))
			})
		}
	}
}

func (g golden) replay(t *testing.T, e engine.Engine) {
	o, err := New(e, g.layout(), g.hidden, g.config())
	if err != nil {
		t.Fatal(err)
	}
	params, grads := upload(e, g.Params...), e.Alloc(len(g.Params))
	for i, s := range g.Steps {
		e.Upload(grads, s.Grads)
		if err := o.Step(params, grads, none, s.LR); err != nil {
			t.Fatal(err)
		}
		worst, at := 0.0, 0
		for j, got := range e.Host(params) {
			if d := math.Abs(float64(got)-s.Params[j]) / (1 + math.Abs(s.Params[j])); !(d <= worst) {
				worst, at = d, j
			}
		}
		if !(worst <= goldenTolerance) {
			t.Errorf("step %d: parameter %d is %.9g, the reference has %.9g", i, at, e.Host(params)[at], s.Params[at])
		}
	}
	if o.Count != uint64(len(g.Steps)) {
		t.Errorf("count %d after %d steps", o.Count, len(g.Steps))
	}
}

// engines opens each engine that runs everywhere; both let the host address their memory.
var engines = map[string]func(testing.TB) engine.Engine{
	"reference": func(t testing.TB) engine.Engine { return closed(t, reference.New()) },
	"cpu":       func(t testing.TB) engine.Engine { return openCPU(t, 1) },
}

func openCPU(t testing.TB, threads int) engine.Engine {
	t.Helper()
	e, err := auto.Open(engine.Options{Kind: "cpu", Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	return closed(t, e)
}

func closed(t testing.TB, e engine.Engine) engine.Engine {
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func upload(e engine.Engine, v ...float32) engine.Buf {
	b := e.Alloc(len(v))
	e.Upload(b, v)
	return b
}
