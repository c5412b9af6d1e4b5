package trainer

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
)

// A captured update reads the numbers of its own step, and one that is refused changes nothing, though nobody waited for the norm.
func TestCapturedUpdatesOnTheGPU(t *testing.T) {
	for _, inner := range []string{"adamw", "muon"} {
		open := func() (*cuda.Engine, *Replica) {
			e, err := cuda.Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: cudatest.Driver(t)})
			if err != nil {
				t.Fatal(err)
			}
			o := tiny()
			o.Inner.Optimizer, o.Inner.GradClip, o.BatchSize, o.Engine = inner, 0.5, 2, e
			return e, newReplica(t, o)
		}
		other, watched := open()
		watched.Watch(func(Event) {}) // micro-steps are made call by call
		e, r := open()
		for range 3 {
			if got, want := steps(t, r, 1), steps(t, watched, 1); got != want {
				t.Errorf("%s: the loss is %g, call by call %g", inner, got, want)
			}
		}
		before := e.Stats().Launches

		good := paramsOf(r)
		bad := slices.Clone(good)
		bad[len(bad)-1] = float32(math.NaN()) // which every token meets
		r.Write(bad, whole(r))
		saved, _ := r.Save()
		first, second := slices.Clone(saved[1]), slices.Clone(saved[2])
		for range 2 {
			if _, err := r.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "the loss is NaN") {
				t.Errorf("%s: %v", inner, err)
			}
		}
		after, _ := r.Save()
		if !slices.Equal(after[0][:len(bad)-1], bad[:len(bad)-1]) || !slices.Equal(after[1], first) || !slices.Equal(after[2], second) {
			t.Errorf("%s: a refused step changed parameters or moments", inner)
		}
		r.Write(good, whole(r))
		if got, want := steps(t, r, 1), steps(t, watched, 1); got != want {
			t.Errorf("%s: after a refused step the loss is %g, want %g", inner, got, want)
		}
		if now := e.Stats().Launches; now != before {
			t.Errorf("%s: %d calls were made one by one in later steps", inner, now-before)
		}
		for _, e := range []*cuda.Engine{e, other} {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
