package aggregator_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

func twice(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
	c, err := f32(l, f)
	if err != nil {
		return nil, err
	}
	return gradients.Both(c, f.Len())
}

// Two workers move by 1 and by 3 a step, H = 1, lr 1. Round 1: own halves only, anchors −.5 and −1.5. Landing of round n: half of
// the own newest step and half of the other's step n, −2 each: −2.5 and −3.5, −4.5 and −5.5, −6.5 and −7.5. Round 4 gathers at −7.
func TestEagerHistory(t *testing.T) {
	w := newWorld(t, 2, Eager(f32, 1, 0), Schedule{Every: 1, Delay: 1, Fragments: 1, Steps: 4})
	var a, b []float32
	one, two := w.worker(0, func(uint64) float32 { return 1 }, anchors(&a)), w.worker(1, func(uint64) float32 { return 3 }, anchors(&b))
	run(t, one, two)
	if !near(a, []float32{-2.5, -4.5, -6.5, -7}) || !near(b, []float32{-3.5, -5.5, -7.5, -7}) {
		t.Errorf("anchors %v and %v", a, b)
	}
	if one.Root() != two.Root() || one.Root() == w.manifest.FirstRoot {
		t.Errorf("the workers end at roots %s and %s, they began at %s", one.Root().Short(), two.Root().Short(), w.manifest.FirstRoot.Short())
	}
}

// The formula of NoLoCo in float64, for workers that move by given numbers a step, beside the loop.
func TestNoLoCoHistory(t *testing.T) {
	const alpha, beta, gamma, rounds = 0.5, 0.7, 0.7, 6
	for _, n := range []int{2, 5} {
		w := newWorld(t, n, NoLoCo(twice, alpha, beta, gamma), Schedule{Every: 2, Fragments: 1, Steps: 2 * (rounds + 1)})
		by := func(i int) func(uint64) float32 { return func(s uint64) float32 { return float32(i+1) / float32(s) } }
		got, workers := make([][]float32, n), []*Worker{}
		var beacons [][32]byte
		for i := range n {
			workers = append(workers, w.worker(i, by(i), func(_ context.Context, l Landing) error {
				got[i] = append(got[i], l.Worker.State().Anchor[0])
				if i == 0 {
					beacons = append(beacons, l.Certificate.Beacon)
				}
				return nil
			}))
		}
		first := w.memory.Genesis().Beacon
		run(t, workers...)
		beacons = append([][32]byte{first}, beacons...)
		roster := make([]Slot, n)
		for i := range roster {
			roster[i] = Slot(i)
		}
		phi, m := make([]float64, n), make([]float64, n)
		for r := range rounds {
			delta, next := make([]float64, n), make([]float64, n)
			for i := range n {
				delta[i] = float64(by(i)(uint64(2*r+1)) + by(i)(uint64(2*r+2)))
			}
			for i := range n {
				var d, c float64
				pairs := Pairs(beacons[r], roster)
				peers := pairs[slices.IndexFunc(pairs, func(p []Slot) bool { return slices.Contains(p, Slot(i)) })]
				for _, p := range peers {
					d, c = d+delta[p]/float64(len(peers)), c+phi[p]/float64(len(peers))
				}
				m[i] = alpha*m[i] + beta*d + gamma*(phi[i]-c)
				next[i] = phi[i] - m[i]
			}
			phi = next
			for i := range n {
				if math.Abs(float64(got[i][r])-phi[i]) > 1e-5 {
					t.Errorf("%d workers: worker %d stands at %g after round %d, want %g", n, i, got[i][r], r+1, phi[i])
				}
			}
		}
		var mean float64
		for i := range n {
			mean += (phi[i] - float64(by(i)(2*rounds+1)+by(i)(2*rounds+2))) / float64(n)
		}
		for i := range n {
			if last := got[i][rounds]; math.Abs(float64(last)-mean) > 1e-5 || workers[i].Root() != workers[0].Root() {
				t.Errorf("%d workers: worker %d ends at %g, the mean is %g", n, i, last, mean)
			}
		}
	}
}

// A snapshot at any landing leads to the same end, and one of a common method's is no private one's.
func TestResumeApart(t *testing.T) {
	for _, m := range []Method{Eager(f32, 0.7, 0.9), NoLoCo(twice, 0.5, 0.7, 0.7)} {
		s := Schedule{Every: 2, Fragments: 1, Steps: 10}
		if m.Fresh {
			s.Delay = s.Every
		}
		resumeEverywhere(t, newWorld(t, 1, m, s))
	}
}

// Parts that do not fit together are refused before anything is trained.
func TestMethodsThatDoNotFit(t *testing.T) {
	pull := DiLoCo(f32, 1, 0, 0, 0)
	pull.Pull = 1
	feedback := NoLoCo(twice, 0.5, 0.7, 0.7)
	feedback.Feedback = 0.9
	for _, c := range []struct {
		m Method
		s Schedule
	}{
		{pull, Schedule{Every: 1, Fragments: 1, Steps: 1}}, {feedback, Schedule{Every: 1, Fragments: 1, Steps: 1}},
		{Eager(f32, 1, 0), Schedule{Every: 2, Delay: 1, Fragments: 1, Steps: 2}}, {NoLoCo(twice, 0.5, 0.7, 0.7), Schedule{Every: 2, Fragments: 2, Steps: 2}},
	} {
		w := newWorld(t, 1, c.m, c.s)
		if _, err := NewWorker(w.options(0, nil)); err == nil {
			t.Errorf("%s on %+v was accepted", c.m.Name, c.s)
		} else if fmt.Sprint(err) == "" {
			t.Error("an error without words")
		}
	}
}
