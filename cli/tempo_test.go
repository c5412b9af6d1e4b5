package cli

import (
	"container/heap"
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// arrival is a worker that hands in so many steps.
type arrival struct {
	at     time.Duration
	worker int
	steps  uint64
}

type arrivals []arrival

func (q arrivals) Len() int           { return len(q) }
func (q arrivals) Less(i, j int) bool { return q[i].at < q[j].at }
func (q arrivals) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *arrivals) Push(x any)        { *q = append(*q, x.(arrival)) }
func (q *arrivals) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// counts is the certificate of one contribution.
func counts(worker int, steps uint64) *aggregator.Certificate {
	return &aggregator.Certificate{Body: aggregator.Body{List: []aggregator.Included{{
		Weight: steps * 64, SignedHeader: aggregator.SignedHeader{Header: aggregator.Header{Worker: aggregator.PeerID{byte(worker + 1)}}},
	}}}}
}

// Workers that take 1, 1, 2 and 4 s a step, and as long to hand it in, come to hand in as often as the fastest.
func TestTempoEvensOut(t *testing.T) {
	const h = 40
	speeds := []time.Duration{time.Second, time.Second, 2 * time.Second, 4 * time.Second}
	for _, waits := range []time.Duration{0, 5 * time.Second} {
		tempo, start := newTempo(64), time.Unix(0, 0)
		var q arrivals
		for w, s := range speeds {
			heap.Push(&q, arrival{h*s + waits, w, h})
		}
		last := map[int]uint64{}
		for range 200 {
			a := heap.Pop(&q).(arrival)
			now := start.Add(a.at)
			tempo.note(counts(a.worker, a.steps), now)
			steps := tempo.steps(aggregator.PeerID{byte(a.worker + 1)}, h, now)
			last[a.worker] = steps
			heap.Push(&q, arrival{a.at + time.Duration(steps)*speeds[a.worker] + waits, a.worker, steps})
		}
		for w, s := range speeds {
			if want := float64(h) / s.Seconds(); math.Abs(float64(last[w])-want) > 2 {
				t.Errorf("waiting %v: a worker of %v a step takes %d steps, want about %.0f", waits, s, last[w], want)
			}
		}
	}
}

// Who claims the impossible costs the others no more than the floor; who is gone costs them nothing.
func TestTempoOfALiar(t *testing.T) {
	const h = 160
	tempo, now := newTempo(64), time.Unix(0, 0)
	for i := range 10 {
		tempo.note(counts(0, h), now.Add(time.Duration(i)*time.Minute))
	}
	now = now.Add(9 * time.Minute)
	honest := aggregator.PeerID{1}
	if got := tempo.steps(honest, h, now); got != h {
		t.Errorf("alone, a worker takes %d of %d steps", got, h)
	}
	for i := range 10 {
		tempo.note(counts(1, h), now.Add(time.Duration(i)*time.Millisecond))
	}
	now = now.Add(10 * time.Millisecond)
	if got := tempo.steps(honest, h, now); got != h/slowestPart {
		t.Errorf("beside a liar a worker takes %d steps, want %d", got, h/slowestPart)
	}
	if got := tempo.steps(honest, h, now.Add(time.Second)); got != h {
		t.Errorf("once the liar is gone a worker takes %d steps, want %d", got, h)
	}
	if got := tempo.steps(aggregator.PeerID{9}, h, now); got != h {
		t.Errorf("a newcomer takes %d steps", got)
	}
}

// burst is a log whose third certificate comes together with the three behind it.
type burst struct{ tip, last aggregator.Seq }

func (b *burst) Tip() aggregator.Seq { return b.tip }
func (b *burst) Certificate(_ context.Context, n aggregator.Seq) (*aggregator.Certificate, error) {
	if n > b.last {
		return nil, errors.New("closed")
	}
	if b.tip = max(b.tip, n); n == 3 {
		b.tip = 6
	}
	return counts(int(n), 1), nil
}

func TestTempoForgetsInABurst(t *testing.T) {
	tempo := newTempo(64)
	tempo.watch(t.Context(), &burst{last: 8})
	if len(tempo.beats) != 2 { // of 7 and 8
		t.Errorf("%d workers are remembered, want 2", len(tempo.beats))
	}
}
