package aggregator_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// deep is a schedule on which two further rounds depart before one lands.
var deep = Schedule{Every: 4, Fragments: 2, Delay: 4, Steps: 24}

// A peer that joins while rounds are in flight is not waited for in those that departed before its seat. No time
// passes here: a round that waited for it would wait for ever.
func TestJoinerIsNotAwaitedTooEarly(t *testing.T) {
	w := newWorld(t, 1, DiLoCo(f32, 0.7, 0.9, 0.5, 0.5), deep)
	first := w.worker(0, shrinking, func(ctx context.Context, l Landing) error {
		if l.Certificate.Seq != 2 {
			return nil
		}
		return w.memory.Do(ctx, func(r *Rounds) { r.Join(signer(2).ID) })
	})
	second := w.worker(1, shrinking, nil)
	run(t, first, second)
	if first.Root() != second.Root() {
		t.Errorf("roots %s and %s", first.Root().Short(), second.Root().Short())
	}
	if got := second.Chain().Roster().Slots(); !slices.Equal(got, []Slot{0, 1}) {
		t.Errorf("roster %v at the end, want slots 0 and 1", got)
	}
	if _, counted := second.Chain().Tip().Counts(signer(2).ID); !counted {
		t.Error("the joiner is not counted in the last round")
	}
	end, err := w.memory.Exchange(signer(1).ID).Next(t.Context(), deep.Rounds())
	if err != nil || end.Kind != Closing || end.BaseRoot != first.Root() {
		t.Errorf("the run ends with %+v, %v", end, err)
	}
}

// When all have left, empty rounds hand the run to whoever asks: they change no anchor and no momentum.
func TestEmptyRoundsChangeNothing(t *testing.T) {
	w := newWorld(t, 1, DiLoCo(f32, 0.7, 0.9, 0.5, 0.5), deep)
	errGone := errors.New("gone")
	first := w.worker(0, shrinking, func(ctx context.Context, l Landing) error {
		if l.Certificate.Seq != 2 {
			return nil
		}
		err := w.memory.Do(ctx, func(r *Rounds) { r.Leave(signer(1).ID) })
		err = errors.Join(err, w.memory.Do(ctx, func(r *Rounds) { r.Join(signer(2).ID) }))
		return errors.Join(err, errGone)
	})
	if err := first.Run(t.Context()); !errors.Is(err, errGone) {
		t.Fatal(err)
	}
	var before []gradients.Vec
	var empty []Seq
	second := w.worker(1, shrinking, func(_ context.Context, l Landing) error {
		s := l.Worker.State()
		now := append([]gradients.Vec{slices.Clone(s.Anchor)}, slices.Clone(s.Outer[0]))
		if len(l.Certificate.List) == 0 {
			empty = append(empty, l.Certificate.Seq)
			if l.Norm != 0 || !slices.Equal(now[0], before[0]) || !slices.Equal(now[1], before[1]) {
				t.Errorf("round %d is empty and changes the state", l.Certificate.Seq)
			}
		} else if before != nil && slices.Equal(now[0], before[0]) {
			t.Errorf("round %d counts somebody and changes nothing", l.Certificate.Seq)
		}
		before = now
		return nil
	})
	run(t, second)
	if !slices.Equal(empty, []Seq{5, 6, 7}) {
		t.Errorf("rounds %v are empty, want 5, 6 and 7", empty)
	}
	if first := second.Replica.(*scripted).seats[0][0]; first != deep.Landing(5)+1 {
		t.Errorf("the joiner's first seat is for step %d, want %d", first, deep.Landing(5)+1)
	}
}
