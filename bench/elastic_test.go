package bench

import (
	"context"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// Of three workers one needs twice the time. With a quorum of two and a grace of half a round the swarm goes on without it: its
// late work is never lost, as feedback keeps it.
func TestAQuorumWaitsNoLongerThanItsGrace(t *testing.T) {
	o := options(3)
	o.Layout = gradients.Layout{{Name: "a", Shape: []int{10, 100}}}
	o.Manifest.LayoutHash = aggregator.LayoutHash(o.Layout)
	o.Manifest.Schedule, o.Manifest.MinPeers, o.Manifest.Grace = aggregator.Schedule{Every: 10, Fragments: 1, Steps: 60}, 2, 500
	o.Method = aggregator.Elastic(o.Method.Codec, 0.7, 0.9, 1, func(gradients.Tensor) bool { return true })
	o.Hosts[2].Step *= 2
	counted := map[int]int{}
	o.Landed = func(_ context.Context, w int, _ time.Duration, l aggregator.Landing) error {
		if w == 0 {
			counted[len(l.Certificate.List)]++
		}
		return nil
	}
	r := simulate(t, o)
	if counted[3] != 0 || counted[2] < 5 || r.Time > 10*time.Second { // six rounds of 1 s and a grace of .5 s, not of 2 s
		t.Errorf("rounds by the number that they count: %v, in %v", counted, r.Time)
	}
}
