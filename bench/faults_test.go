package bench

import (
	"context"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// counts runs the swarm and returns how many contributions each round counts, and what worker 1 took part in.
func counts(t *testing.T, o Options) (rounds []int, second int, r *Result) {
	t.Helper()
	o.Landed = func(_ context.Context, w int, _ time.Duration, l aggregator.Landing) error {
		if w != 0 {
			return nil
		}
		rounds = append(rounds, len(l.Certificate.List)-l.Refused)
		for _, e := range l.Certificate.List {
			if e.Slot == 1 {
				second++
			}
		}
		return nil
	}
	r = simulate(t, o)
	return rounds, second, r
}

func TestAPausedWorkerIsWaitedForUpToTheDeadline(t *testing.T) {
	o := options(3)
	whole := simulate(t, o)
	o.Faults = []Fault{{Worker: 1, Step: 15, Kind: "pause", For: 2 * time.Second}}
	if _, second, r := counts(t, o); second != 12 || r.Root != whole.Root || r.Time < whole.Time+1500*time.Millisecond {
		t.Errorf("it took part in %d of 12 rounds, %v instead of %v", second, r.Time, whole.Time)
	}
}

func TestASlowSpellEnds(t *testing.T) {
	o := options(3)
	whole := simulate(t, o)
	o.Faults = []Fault{{Worker: 1, Step: 11, Kind: "slow", Factor: 3, For: 3 * time.Second}}
	r := simulate(t, o)
	if d := r.Time - whole.Time; r.Root != whole.Root || d < 1500*time.Millisecond || d > 2500*time.Millisecond {
		t.Errorf("%v instead of %v", r.Time, whole.Time)
	}
}

func TestAKilledWorkerComesBack(t *testing.T) {
	o := options(3)
	o.Manifest.Deadline = 300
	o.Faults = []Fault{{Worker: 1, Step: 12, Kind: "kill", For: time.Second}}
	rounds, second, r := counts(t, o)
	if second < 5 || second > 10 || len(rounds) != 12 {
		t.Errorf("it took part in %d of %d rounds: %v", second, len(rounds), rounds)
	}
	o.Faults[0].For = 0
	if _, second, gone := counts(t, o); second != 2 || gone.Root == r.Root {
		t.Errorf("gone for good it took part in %d rounds", second)
	}
}

func TestLostContributionsCountForNothing(t *testing.T) {
	o := options(4)
	o.Lost = func(worker int, departure uint64) bool { return (uint64(worker)+departure/5)%2 == 0 }
	if rounds, _, _ := counts(t, o); len(rounds) != 12 || rounds[0] != 2 || rounds[5] != 2 {
		t.Errorf("rounds count %v", rounds)
	}
}

func TestFaultsAreChecked(t *testing.T) {
	for _, f := range []Fault{{Worker: 3, Step: 1, Kind: "kill"}, {Step: 1, Kind: "explode"}, {Step: 1, Kind: "slow"}, {Kind: "pause"}} {
		o := options(3)
		o.Faults = []Fault{f}
		if _, err := Simulate(t.Context(), o); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}
