package aggregator_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// published is the shared state after a landing, as a checkpoint would hold it.
func published(l Landing) *Shared {
	s := l.Worker.State()
	p := &Shared{Seq: s.Seq, Anchor: slices.Clone(s.Anchor)}
	for _, v := range s.Outer {
		p.Outer = append(p.Outer, slices.Clone(v))
	}
	return p
}

// Who starts from any published state and folds the rest of the log ends where everybody else does, without training
// for rounds that are over.
func TestStartFromAnyPublishedState(t *testing.T) {
	for name, schedule := range map[string]Schedule{
		"blocking":  {Every: 3, Fragments: 1, Steps: 12},
		"streaming": {Every: 4, Fragments: 2, Delay: 3, Steps: 12},
	} {
		t.Run(name, func(t *testing.T) {
			by := func(step uint64) float32 { return 1 / float32(step) }
			w := newWorld(t, 1, DiLoCo(f32, 0.7, 0.9, 0.5, 0.5), schedule)
			var states []*Shared
			whole := w.worker(0, by, func(_ context.Context, l Landing) error {
				states = append(states, published(l))
				return nil
			})
			run(t, whole)
			for _, p := range states {
				o := w.options(1, func(uint64) float32 { t.Error("trains for a round that is over"); return 0 })
				o.Start = p
				late, err := NewWorker(o)
				if err != nil {
					t.Fatal(err)
				}
				run(t, late)
				if late.Root() != whole.Root() {
					t.Errorf("from round %d: root %s, want %s", p.Seq, late.Root().Short(), whole.Root().Short())
				}
			}
		})
	}
}

// A published state is trusted no further than the log goes.
func TestForgedStartIsFound(t *testing.T) {
	w := newWorld(t, 1, DiLoCo(f32, 0.7, 0.9, 0, 0), Schedule{Every: 1, Fragments: 1, Steps: 4})
	var second *Shared
	run(t, w.worker(0, shrinking, func(_ context.Context, l Landing) error {
		if l.Certificate.Seq == 2 {
			second = published(l)
		}
		return nil
	}))
	second.Outer[0][0] += 1e-6
	o := w.options(1, shrinking)
	o.Start = second
	late, err := NewWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := late.Run(t.Context()); !errors.Is(err, ErrDiverged) {
		t.Errorf("a forged state ends with %v", err)
	}
}

func TestUnfitStartIsRefused(t *testing.T) {
	w := newWorld(t, 1, DiLoCo(f32, 0.7, 0.9, 0, 0), Schedule{Every: 1, Fragments: 1, Steps: 4})
	n := w.layout.Len()
	for name, p := range map[string]*Shared{
		"other size":         {Seq: 1, Anchor: make(gradients.Vec, n+1), Outer: []gradients.Vec{make(gradients.Vec, n)}},
		"no momentum":        {Seq: 1, Anchor: make(gradients.Vec, n)},
		"short momentum":     {Seq: 1, Anchor: make(gradients.Vec, n), Outer: []gradients.Vec{make(gradients.Vec, n-1)}},
		"round of no run":    {Seq: 5, Anchor: make(gradients.Vec, n), Outer: []gradients.Vec{make(gradients.Vec, n)}},
		"another first root": {Seq: 0, Anchor: gradients.Vec{1}, Outer: []gradients.Vec{make(gradients.Vec, n)}},
	} {
		o := w.options(0, shrinking)
		o.Start = p
		if _, err := NewWorker(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A worker that was away while rounds closed without it does not train for them again; it asks to join, and counts.
func TestAwayAndBack(t *testing.T) {
	w := newWorld(t, 2, DiLoCo(f32, 1, 0, 0, 0), Schedule{Every: 2, Fragments: 1, Steps: 12})
	errGone := errors.New("gone")
	var saved Snapshot
	trained := map[uint64]int{} // steps of the second worker
	by := func(step uint64) float32 { trained[step]++; return 1 }
	away := make(chan struct{})
	second := w.worker(1, by, func(_ context.Context, l Landing) error {
		if l.Certificate.Seq != 2 {
			return nil
		}
		saved = l.Worker.Snapshot()
		for i, v := range saved.Vectors {
			saved.Vectors[i] = slices.Clone(v)
		}
		defer close(away)
		return errors.Join(errGone, w.memory.Do(t.Context(), func(r *Rounds) { r.Leave(signer(2).ID) }))
	})
	back := make(chan error, 1)
	first := w.worker(0, shrinking, func(ctx context.Context, l Landing) error {
		switch l.Certificate.Seq {
		case 2:
			<-away
		case 4:
			if err := w.memory.Do(ctx, func(r *Rounds) { r.Join(signer(2).ID) }); err != nil {
				return err
			}
			o := w.options(1, by)
			o.Resume = &saved
			again, err := NewWorker(o)
			if err != nil {
				return err
			}
			go func() { back <- again.Run(t.Context()) }()
		}
		return nil
	})
	go func() { _ = second.Run(t.Context()) }()
	run(t, first)
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	for step := uint64(1); step <= 12; step++ {
		want := 1 // rounds 1, 2 and 6
		if step > 4 && step <= 10 {
			want = 0
		}
		if trained[step] != want {
			t.Errorf("step %d was trained %d times, want %d", step, trained[step], want)
		}
	}
	tip := first.Chain().Tip()
	if e, ok := tip.Counts(signer(2).ID); !ok || e.Slot != 1 {
		t.Errorf("in the last round the worker that came back is not counted under its old slot")
	}
}

// A pause in the middle of a round costs no work that was done, and the worker stays on the log.
func TestPause(t *testing.T) {
	w := newWorld(t, 2, DiLoCo(f32, 1, 0, 0, 0), Schedule{Every: 4, Fragments: 1, Steps: 12})
	steps := uint64(0)
	o := w.options(1, func(step uint64) float32 { steps++; return 1 })
	o.Paused = func() bool { at := o.Replica.(*scripted).at; return at == 6 } // two steps into the second round
	second, err := NewWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	var weights []uint64
	first := w.worker(0, shrinking, func(_ context.Context, l Landing) error {
		e, _ := l.Certificate.Counts(signer(2).ID)
		weights = append(weights, e.Weight)
		return nil
	})
	run(t, first, second)
	if want := []uint64{64, 32, 64}; !slices.Equal(weights, want) || steps != 10 {
		t.Errorf("%d steps count as %v, want 10 steps as %v", steps, weights, want)
	}
	if first.Root() != second.Root() {
		t.Errorf("roots %s and %s", first.Root().Short(), second.Root().Short())
	}
}
