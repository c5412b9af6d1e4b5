package aggregator_test

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"sync"
	"testing"

	. "github.com/skein-train/skein/aggregator"
)

// joined is what a run looks like into which a third worker comes while round 3 is certified.
type joined struct {
	*world
	workers  []*Worker
	anchors  [3]map[Seq]float32
	admitted Seq       // the round that admits the newcomer
	first    Seq       // the first round that counts the newcomer
	weights  []float32 // of that round
	tokens   uint64    // that the newcomer's first contribution stands for
	rounds   Seq
}

// joinAt3 runs two workers that move by 1 and by 3 a step, and has one that moves by 2 join them.
func joinAt3(t *testing.T, w *world) *joined {
	t.Helper()
	j := &joined{world: w, rounds: w.manifest.Schedule.Rounds()}
	arrive, offered := make(chan struct{}), make(chan struct{})
	for i, by := range []float32{1, 3, 2} {
		j.anchors[i] = map[Seq]float32{}
		o := w.options(i, func(uint64) float32 { return by })
		if i == 2 {
			o.Exchange = &latecomer{Exchange: o.Exchange, arrive: arrive, offered: offered}
		}
		o.Landed = func(ctx context.Context, l Landing) error {
			n := l.Certificate.Seq
			if len(l.Certificate.Joined) > 0 && i == 0 {
				j.admitted = n
			}
			j.anchors[i][n] = l.Worker.State().Anchor[0]
			if e, ok := l.Certificate.Counts(signer(3).ID); ok && i == 0 && j.first == 0 {
				j.first, j.weights, j.tokens = n, l.Certificate.Weights(), e.Tokens
			}
			if n == j.rounds/2 && i < 2 { // where nobody waits, the others could be through before the newcomer has begun
				<-offered
			}
			if i == 0 && n == 2 {
				defer close(arrive)
				return w.memory.Do(ctx, func(r *Rounds) { r.Join(signer(3).ID) })
			}
			return nil
		}
		worker, err := NewWorker(o)
		if err != nil {
			t.Fatal(err)
		}
		j.workers = append(j.workers, worker)
	}
	run(t, j.workers...)
	for i, one := range j.workers {
		if one.Root() != j.workers[0].Root() || one.Root() == w.manifest.FirstRoot {
			t.Errorf("worker %d ends at root %s, worker 0 at %s", i, one.Root().Short(), j.workers[0].Root().Short())
		}
	}
	return j
}

// latecomer looks at the log when the others have come so far, and tells of its first offer.
type latecomer struct {
	Exchange
	arrive, offered chan struct{}
	once            sync.Once
}

func (x *latecomer) Offer(ctx context.Context, c Contribution) error {
	x.once.Do(func() { close(x.offered) })
	return x.Exchange.Offer(ctx, c)
}

func (x *latecomer) Next(ctx context.Context, after Seq) (*Certificate, error) {
	<-x.arrive
	return x.Exchange.Next(ctx, after)
}

// Who comes into a run of workers with anchors of their own begins where they are, not where the run began: it would hold back whoever it meets, and the mean
// at the end. What it then does counts in full.
func TestJoinersOfPrivateMethods(t *testing.T) {
	for name, c := range map[string]struct {
		m      Method
		delay  uint64
		apart  float64 // how far anchors of workers may lie apart
		waits  Seq     // rounds between admission and the first contribution
		manage func(*Manifest)
	}{
		"eager":             {Eager(f32, 1, 0), 2, 6, 2, func(*Manifest) {}},
		"noloco":            {NoLoCo(twice, 0.5, 0.7, 0.7), 0, 12, 1, func(*Manifest) {}},
		"noloco, all":       {NoLoCo(twice, 0.5, 0.7, 0.7), 0, 12, 1, func(m *Manifest) { m.Topology = All }},
		"noloco, heavyball": {NoLoCo(twice, 0.9, 0.5, 0.5), 0, 24, 1, func(*Manifest) {}},
	} {
		t.Run(name, func(t *testing.T) {
			const rounds = 12
			w := newWorld(t, 2, c.m, Schedule{Every: 2, Delay: c.delay, Fragments: 1, Steps: 2 * rounds})
			w.remake(2, c.manage)
			j := joinAt3(t, w)
			if j.first != j.admitted+c.waits || j.tokens != 2*2*8 || slices.Max(j.weights) != slices.Min(j.weights) {
				t.Errorf("the newcomer, admitted by round %d, counts from round %d on, with %d tokens, weights %v", j.admitted, j.first, j.tokens, j.weights)
			}
			for n := j.first; n < j.rounds; n++ {
				a, b, c2 := j.anchors[0][n], j.anchors[1][n], j.anchors[2][n]
				if spread := float64(max(a, b, c2) - min(a, b, c2)); spread > c.apart {
					t.Errorf("after round %d the anchors are %g, %g and %g", n, a, b, c2)
				}
			}
			w.remake(2, func(*Manifest) {}) // the twin: the same without the newcomer, who is as fast as the others on average
			one, two := w.worker(0, func(uint64) float32 { return 1 }, nil), w.worker(1, func(uint64) float32 { return 3 }, nil)
			run(t, one, two)
			if end, want := j.anchors[0][j.rounds], one.State().Anchor[0]; math.Abs(float64(end-want)) > c.apart {
				t.Errorf("the run ends at %g, without the newcomer at %g", end, want)
			}
		})
	}
}

// Nor does the newcomer hold anybody back where nobody waits: it starts from the common state, and its weight is that of its steps.
func TestJoinersOfAsynchronousRuns(t *testing.T) {
	w := newAsync(t, 2, AsyncDiLoCo(f32, 1, 0, 0), 40, 64)
	j := joinAt3(t, w)
	if j.first <= j.admitted || j.tokens != 2*2*8 || len(j.weights) != 1 {
		t.Errorf("the newcomer counts from round %d on, with %d tokens, weights %v", j.first, j.tokens, j.weights)
	}
	for n := Seq(1); n <= j.rounds; n++ {
		if a, b, c := j.anchors[0][n], j.anchors[1][n], j.anchors[2][n]; a != b || a != c {
			t.Fatalf("after round %d the anchors are %g, %g and %g", n, a, b, c)
		}
	}
}

// Who cannot be followed is passed over; if that is everybody the newcomer says so.
func TestNewcomersPassOverWhoIsGone(t *testing.T) {
	for name, gone := range map[string]func(PeerID) bool{
		"one":       func(p PeerID) bool { return p == signer(1).ID },
		"everybody": func(PeerID) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2, NoLoCo(twice, 0.5, 0.7, 0.7), Schedule{Every: 1, Fragments: 1, Steps: 6})
			arrive := make(chan struct{})
			var old []*Worker
			for i := range 2 {
				old = append(old, w.worker(i, func(uint64) float32 { return 1 }, func(ctx context.Context, l Landing) error {
					if i != 0 || l.Certificate.Seq != 1 {
						return nil
					}
					defer close(arrive)
					return w.memory.Do(ctx, func(r *Rounds) { r.Join(signer(3).ID) })
				}))
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for _, o := range old {
				go func() { _ = o.Run(ctx) }()
			}
			o := w.options(2, func(uint64) float32 { return 1 })
			o.Exchange = &latecomer{Exchange: &without{o.Exchange, gone}, arrive: arrive, offered: make(chan struct{})}
			enough := errors.New("enough")
			o.Landed = func(_ context.Context, l Landing) error {
				if len(l.Certificate.Joined) == 0 {
					return nil
				}
				if x := l.Worker.State().Anchor[0]; x >= 0 {
					t.Errorf("the newcomer begins at %g", x)
				}
				return enough
			}
			newcomer, e := NewWorker(o)
			if e != nil {
				t.Fatal(e)
			}
			got := newcomer.Run(t.Context())
			if want := map[string]error{"one": enough, "everybody": ErrGone}[name]; !errors.Is(got, want) {
				t.Errorf("the newcomer ends with %v", got)
			}
		})
	}
}

// without is an exchange in which some workers' payloads are gone.
type without struct {
	Exchange
	gone func(PeerID) bool
}

func (x *without) Open(ctx context.Context, h *SignedHeader) (io.ReadCloser, error) {
	if x.gone(h.Worker) {
		return nil, ErrGone
	}
	return x.Exchange.Open(ctx, h)
}
