package trainer

import (
	"math"
	"slices"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// small is a replica on the reference engine, with AdamW, that may take that many steps.
func small(t *testing.T, steps uint64) *Replica {
	t.Helper()
	return smallWith(t, "adamw", steps)
}

func smallWith(t *testing.T, optimizer string, steps uint64) *Replica {
	t.Helper()
	e := reference.New()
	t.Cleanup(func() { _ = e.Close() })
	inner := DefaultInner()
	inner.Optimizer, inner.WarmupSteps, inner.Schedule = optimizer, 0, "constant"
	r, err := New(Options{
		Model:     Model{VocabSize: 16, HiddenSize: 8, IntermediateSize: 8, NumHiddenLayers: 1, NumAttentionHeads: 2, NumKeyValueHeads: 2},
		Fragments: 1, Inner: inner, BatchSize: 2, MicroBatchSize: 2, Steps: 1000, Engine: e,
	}, fake{16, 4, 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Begin(shards.Seat{Count: 2 * steps}); err != nil {
		t.Fatal(err)
	}
	return r
}

func take(t *testing.T, r *Replica, n int) {
	t.Helper()
	for range n {
		if _, err := r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRamp(t *testing.T) {
	w := ramp{10, 4}
	var got []float64
	for step := uint64(9); step < 16; step++ {
		got = append(got, w.factor(step))
	}
	if want := []float64{1, .25, .5, .75, 1, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("factors %v, want %v", got, want)
	}
	if (ramp{}).factor(0) != 1 {
		t.Error("without rewarming the first step is not the schedule's")
	}
}

// The first step after rewarming is an optimizer's first, at the ramp's first rate. AdamW's moves every parameter by at most
// lr/steps·(1 + its share of decay), and with Muon its tensors are among the largest steps.
func TestRewarm(t *testing.T) {
	for _, optimizer := range []string{"adamw", "muon"} {
		r := smallWith(t, optimizer, 20)
		take(t, r, 5)
		r.Rewarm(10)
		before := slices.Clone(paramsOf(r))
		take(t, r, 1)
		lr, largest := DefaultInner().LR/10, 0.0
		for i, p := range paramsOf(r) {
			largest = max(largest, math.Abs(float64(p-before[i])))
		}
		if largest < lr/2 || largest > 1.2*lr {
			t.Errorf("%s: parameters move by up to %g, expected about %g", optimizer, largest, lr)
		}
		again := smallWith(t, optimizer, 20)
		saved, counters := r.Save()
		var vecs []gradients.Vec
		for _, v := range saved {
			vecs = append(vecs, slices.Clone(v))
		}
		if err := again.Load(vecs, counters); err != nil {
			t.Fatal(err)
		}
		take(t, r, 4)
		take(t, again, 4)
		if !slices.Equal(paramsOf(r), paramsOf(again)) {
			t.Errorf("%s: the ramp does not survive a snapshot", optimizer)
		}
	}
}

func TestAdopt(t *testing.T) {
	for _, optimizer := range []string{"adamw", "muon"} {
		r, other := smallWith(t, optimizer, 20), smallWith(t, optimizer, 20)
		take(t, r, 5)
		moments, count, ok := Moments(r.Save())
		if !ok || count != 5 {
			t.Fatalf("%s: moments after %d updates, %v", optimizer, count, ok)
		}
		for i, n := range r.MomentLens() {
			if len(moments[i]) != n {
				t.Errorf("%s: moments %d are %d values, announced are %d", optimizer, i, len(moments[i]), n)
			}
		}
		if err := other.Adopt(moments, count); err != nil {
			t.Fatal(err)
		}
		other.Write(paramsOf(r), gradients.Fragment{Hi: r.Len()})
		if err := other.Begin(r.seat); err != nil {
			t.Fatal(err)
		}
		take(t, r, 1)
		take(t, other, 1)
		if !slices.Equal(paramsOf(r), paramsOf(other)) {
			t.Errorf("%s: with the same parameters, moments and data the next step differs", optimizer)
		}
	}
	if _, _, ok := Moments(small(t, 1).Save()); ok {
		t.Error("a worker that has taken no step hands out moments")
	}
	if _, _, ok := Moments(smallWith(t, "none", 1).Save()); ok {
		t.Error("a worker without an inner optimizer hands out moments")
	}
}

func TestAdoptRefuses(t *testing.T) {
	r := small(t, 1)
	good := func() gradients.Vec { return make(gradients.Vec, r.Len()) }
	negative, infinite := good(), good()
	negative[3], infinite[3] = -1, float32(math.Inf(1))
	for name, c := range map[string]struct {
		moments []gradients.Vec
		count   uint64
	}{
		"missing":    {[]gradients.Vec{good()}, 1},
		"short":      {[]gradients.Vec{good()[1:], good()}, 1},
		"infinite":   {[]gradients.Vec{infinite, good()}, 1},
		"negative":   {[]gradients.Vec{good(), negative}, 1},
		"no updates": {[]gradients.Vec{good(), good()}, 0},
	} {
		if err := r.Adopt(c.moments, c.count); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := r.Adopt([]gradients.Vec{negative, good()}, 1); err != nil {
		t.Errorf("first moments may be negative: %v", err)
	}
}
