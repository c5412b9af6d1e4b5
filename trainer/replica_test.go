package trainer

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
	"github.com/skein-train/skein/trainer/engine/reference"
)

func TestLossFallsOnALearnableTask(t *testing.T) {
	for _, o := range []Options{tiny(), tied(), withMuon()} {
		r := newReplica(t, o)
		first := steps(t, r, 1)
		last := steps(t, r, 59)
		if math.Abs(first-math.Log(13)) > 0.1 || last > 0.7*first {
			t.Errorf("loss %g → %g, expected about ln 13 = 2.56 and a fall below 70 %%", first, last)
		}
		if got, want := r.Tokens(), uint64(60*4*6); got != want {
			t.Errorf("%d tokens trained, want %d", got, want)
		}
	}
}

// With the scale of its updates that of AdamW's, Muon learns at AdamW's learning rate, and here faster.
func TestMuonLearnsAsFastAsAdamW(t *testing.T) {
	total := func(o Options) (sum float64) {
		for o.Seed = range 3 {
			o.Engine = reference.New()
			r := newReplica(t, o)
			for range 40 {
				sum += steps(t, r, 1)
			}
		}
		return sum / (3 * 40)
	}
	if adamw, muon := total(tiny()), total(withMuon()); muon > adamw {
		t.Errorf("mean loss of 40 steps: %.3f with Muon, %.3f with AdamW", muon, adamw)
	}
}

func TestSameSeedSameBits(t *testing.T) {
	a, b := newReplica(t, tiny()), newReplica(t, tiny())
	if steps(t, a, 5) != steps(t, b, 5) || !slices.Equal(paramsOf(a), paramsOf(b)) {
		t.Fatal("two replicas of one seed differ after 5 steps")
	}
	o := tiny()
	o.Seed = 2
	if slices.Equal(paramsOf(newReplica(t, o)), paramsOf(newReplica(t, tiny()))) {
		t.Fatal("two seeds give the same parameters")
	}
}

func TestBlocksComputedAgainGiveTheSameBits(t *testing.T) {
	cpu, err := auto.Open(engine.Options{Kind: "cpu", Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.Close()
	for _, o := range []Options{tiny(), tied(), normed()} {
		for _, e := range []engine.Engine{o.Engine, cpu} {
			o.Engine, o.Recompute = e, "none"
			kept := newReplica(t, o)
			o.Recompute = "block"
			again := newReplica(t, o)
			if a, b := steps(t, kept, 4), steps(t, again, 4); a != b || !slices.Equal(paramsOf(kept), paramsOf(again)) {
				t.Errorf("%s: losses %v and %v after 4 steps", e.Name(), a, b)
			}
		}
	}
}

func TestSaveAndLoadContinueWithTheSameBits(t *testing.T) {
	for _, optimizer := range []string{"adamw", "muon", "none"} {
		o := tiny()
		o.Inner.Optimizer = optimizer
		a := newReplica(t, o)
		steps(t, a, 3)
		vecs, counters := a.Save()
		o.Engine = tiny().Engine
		b, err := New(o, tinyData)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Load(vecs, counters); err != nil {
			t.Fatal(err)
		}
		if a.step != b.step || a.Tokens() != b.Tokens() {
			t.Fatalf("learning rate or tokens differ after loading")
		}
		if steps(t, a, 4) != steps(t, b, 4) || !slices.Equal(paramsOf(a), paramsOf(b)) {
			t.Fatalf("%s: replicas differ 4 steps after loading", optimizer)
		}
	}
}

func TestLoadRefusesOtherShapes(t *testing.T) {
	r := newReplica(t, tiny())
	vecs, counters := r.Save()
	if r.Load(vecs[:2], counters) == nil || r.Load(vecs, counters[:4]) == nil {
		t.Error("missing state was accepted")
	}
	if r.Load([]gradients.Vec{vecs[0], vecs[1], vecs[2][1:]}, counters) == nil {
		t.Error("a short vector was accepted")
	}
	counters[2] = math.MaxUint64
	if r.Load(vecs, counters) == nil {
		t.Error("an overflowing position was accepted")
	}
}

func TestDeltaIsAnchorMinusParams(t *testing.T) {
	r := newReplica(t, fragmented())
	anchor := paramsOf(r)
	steps(t, r, 2)
	after := paramsOf(r)
	for _, f := range r.Layout().Fragments() {
		d := make(gradients.Vec, f.Len())
		r.Delta(d, f.Of(anchor), f)
		for i := range d {
			if d[i] != f.Of(anchor)[i]-f.Of(after)[i] {
				t.Fatalf("fragment %d element %d: %g", f.ID, i, d[i])
			}
		}
		r.Write(f.Of(anchor), f)
	}
	if !slices.Equal(paramsOf(r), anchor) {
		t.Error("writing all fragments of the anchor does not restore it")
	}
}

func TestStepNeedsASeat(t *testing.T) {
	r, err := New(tiny(), tinyData)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Step(context.Background()); !errors.Is(err, ErrSeatSpent) {
		t.Fatalf("a step without a seat: %v", err)
	}
	begin(t, r, shards.Seat{First: 10, Start: 100, Count: 9})
	steps(t, r, 2)
	if _, err := r.Step(context.Background()); !errors.Is(err, ErrSeatSpent) {
		t.Fatalf("a step beyond the seat: %v", err)
	}
	if r.Begin(shards.Seat{Count: 3}) == nil || r.Begin(shards.Seat{Start: math.MaxUint64, Count: 8}) == nil {
		t.Error("an impossible seat was accepted")
	}
}

func TestSeatDecidesDataAndLearningRate(t *testing.T) {
	a, b := newReplica(t, tiny()), newReplica(t, tiny())
	begin(t, a, shards.Seat{First: 5, Start: 40, Count: 8})
	steps(t, a, 2)
	begin(t, b, shards.Seat{First: 5, Start: 40, Count: 4})
	steps(t, b, 1)
	begin(t, b, shards.Seat{First: 6, Start: 44, Count: 4})
	steps(t, b, 1)
	if !slices.Equal(paramsOf(a), paramsOf(b)) {
		t.Error("one seat of two steps and two seats of one differ")
	}
}

func TestCancelledStepChangesNothing(t *testing.T) {
	r := newReplica(t, tiny())
	steps(t, r, 1)
	before, step := paramsOf(r), r.step
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Step(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled step: %v", err)
	}
	if !slices.Equal(before, paramsOf(r)) || r.step != step {
		t.Error("a cancelled step changed the replica")
	}
}

// misread serves one token that no vocabulary holds.
type misread struct{ fake }

func (m misread) Sequence(dst []int32, position uint64) error {
	_ = m.fake.Sequence(dst, position)
	dst[2] = 13
	return nil
}

func TestForeignTokensAreRefused(t *testing.T) {
	r, err := New(tiny(), misread{tinyData})
	if err != nil {
		t.Fatal(err)
	}
	begin(t, r, shards.Seat{Count: 8})
	if _, err := r.Step(context.Background()); err == nil || !strings.Contains(err.Error(), "token id 13") {
		t.Errorf("a token outside the vocabulary: %v", err)
	}
}

func TestValidateNamesTheFields(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"hidden_size 12 is no multiple of num_attention_heads 5":      func(o *Options) { o.Model.NumAttentionHeads = 5 },
		"num_attention_heads 3 is no multiple of num_key_value_heads": func(o *Options) { o.Model.NumKeyValueHeads = 2 },
		"vocab_size 12 is smaller than the 13 token ids":              func(o *Options) { o.Model.VocabSize = 12 },
		"batch_size 4 is no multiple of micro_batch_size 3":           func(o *Options) { o.MicroBatchSize = 3 },
		"num_hidden_layers is 0":                                      func(o *Options) { o.Model.NumHiddenLayers = 0 },
		"4 fragments for num_hidden_layers 2":                         func(o *Options) { o.Fragments = 4 },
		"warmup_steps 61 is more than steps 60":                       func(o *Options) { o.Inner.WarmupSteps = 61 },
		`optimizer "sgd"`:                                             func(o *Options) { o.Inner.Optimizer = "sgd" },
		"muon: momentum 1 must lie":                                   func(o *Options) { o.Inner.Optimizer, o.Inner.Momentum = "muon", 1 },
		"lr 0":                                                        func(o *Options) { o.Inner.LR = 0 },
		"betas [1, 0.95]":                                             func(o *Options) { o.Inner.Betas[0] = 1 },
		"no engine":                                                   func(o *Options) { o.Engine = nil },
		`schedule "step"`:                                             func(o *Options) { o.Inner.Schedule = "step" },
		"51 steps of decay do not fit":                                func(o *Options) { o.Inner.Schedule, o.Inner.WarmupSteps, o.Inner.DecaySteps = "wsd", 10, 51 },
		"hidden_size 15 / num_attention_heads 3 = 5 must be even":     func(o *Options) { o.Model.HiddenSize = 15 },
	} {
		o := tiny()
		change(&o)
		if _, err := New(o, tinyData); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
}

func TestReplicasOfOneProcessDoNotMeet(t *testing.T) {
	want := paramsAfter(t, 3)
	results := make(chan []float32)
	for range 4 {
		go func() { results <- paramsAfter(t, 3) }()
	}
	for range 4 {
		if !slices.Equal(<-results, want) {
			t.Error("a replica beside others differs from one alone")
		}
	}
}

// paramsAfter builds a replica of its own and takes n steps. It may be called from any goroutine.
func paramsAfter(t *testing.T, n int) []float32 {
	r, err := New(tiny(), tinyData)
	if err == nil {
		err = r.Begin(shards.Seat{Count: 1 << 10})
	}
	for i := 0; i < n && err == nil; i++ {
		_, err = r.Step(context.Background())
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	return paramsOf(r)
}
