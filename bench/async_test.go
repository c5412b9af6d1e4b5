package bench

import (
	"context"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// async is a swarm of four workers of which one takes four times as long for a step, over 48 contributions.
func async(pace bool) Options {
	o := options(4)
	o.Layout = o.Layout[:1]
	o.Layout[0].Shape = []int{1000}
	o.Manifest.LayoutHash = aggregator.LayoutHash(o.Layout)
	o.Manifest.Schedule, o.Manifest.MaxStaleness = aggregator.Schedule{Every: 8, Fragments: 1, Steps: 8 * 48}, 20
	o.Method = aggregator.AsyncDiLoCo(o.Method.Codec, 0.7, 0.9, 4)
	o.Hosts[3].Step *= 4
	if pace {
		o.Hosts[3].Pace = 0.25
	}
	return o
}

func TestNobodyWaitsInAnAsynchronousSwarm(t *testing.T) {
	for _, pace := range []bool{false, true} {
		counted, stale := map[aggregator.Slot]int{}, aggregator.Seq(0)
		o := async(pace)
		roots := map[int]aggregator.Hash{}
		o.Landed = func(_ context.Context, w int, _ time.Duration, l aggregator.Landing) error {
			if w == 0 {
				for _, e := range l.Certificate.List {
					counted[e.Slot]++
					stale = max(stale, l.Certificate.Seq-1-l.Certificate.Base)
				}
			}
			if l.Certificate.Seq == 48 {
				roots[w] = l.Worker.Root()
			}
			return nil
		}
		r := simulate(t, o)
		for w, root := range roots {
			if root != r.Root {
				t.Errorf("worker %d ends at root %s, worker 0 at %s", w, root.Short(), r.Root.Short())
			}
		}
		// Without pace the slow one hands in a quarter as often: 48 = 3·n + n/4. With it all hand in as often, 12 each.
		least, most := 3, 5
		if pace {
			least, most = 12, 12
		}
		if n := counted[3]; n < least || n > most || counted[0]+counted[1]+counted[2]+n != 48 {
			t.Errorf("pace %v: contributions by slot: %v", pace, counted)
		}
		if pace == (stale > 6) {
			t.Errorf("pace %v: a contribution counts from a state of %d rounds before", pace, stale)
		}
		// The fast ones train all the time: 48 contributions of 0.8 s by 3¼ workers, or by 4.
		if limit := 13500 * time.Millisecond; r.Time > limit {
			t.Errorf("pace %v: took %v, more than %v", pace, r.Time, limit)
		}
	}
}

// What is older than the run allows is not counted, and its worker goes on from the newest state.
func TestWhatIsTooOldIsGivenUp(t *testing.T) {
	o := async(false)
	o.Manifest.MaxStaleness = 4
	counted := map[aggregator.Slot]int{}
	o.Landed = func(_ context.Context, w int, _ time.Duration, l aggregator.Landing) error {
		for _, e := range l.Certificate.List {
			if w == 0 {
				counted[e.Slot]++
			}
			if behind := l.Certificate.Seq - 1 - l.Certificate.Base; behind > 4 {
				t.Errorf("round %d counts from round %d", l.Certificate.Seq, l.Certificate.Base)
			}
		}
		return nil
	}
	if simulate(t, o); counted[3] != 0 {
		t.Errorf("contributions by slot: %v", counted)
	}
}
