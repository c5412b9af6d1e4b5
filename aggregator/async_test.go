package aggregator_test

import (
	"context"
	"math"
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// newAsync is a world of n workers whose contributions count one by one, over so many rounds.
func newAsync(t *testing.T, n int, m Method, rounds uint64, stale Seq) *world {
	t.Helper()
	w := newWorld(t, n, m, Schedule{Every: 2, Fragments: 1, Steps: 2 * rounds})
	w.remake(n, func(terms *Manifest) { terms.MaxStaleness = stale })
	return w
}

// half sends the larger one of two numbers.
func half(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
	return gradients.New("topk:1/2+f32", l, f)
}

// uneven moves two parameters at different speeds, and adds up what it is asked for.
type uneven struct {
	*scripted
	deltas gradients.Vec // all that was given to the codec
}

func (r *uneven) Step(ctx context.Context) (float64, error) {
	loss, err := r.scripted.Step(ctx)
	r.x[0] -= r.grad / 2
	return loss, err
}

func (r *uneven) Delta(dst, anchor gradients.Vec, f gradients.Fragment) {
	r.scripted.Delta(dst, anchor, f)
	gradients.Axpy(r.deltas, 1, dst)
}

// Error feedback where nobody waits: what a worker's contributions could not carry is in its residual, or under way, after every landing. Nothing is
// lost and nothing is sent twice.
func TestAsyncWithFeedbackLosesNothing(t *testing.T) {
	m := AsyncDiLoCo(half, 1, 0, 0)
	m.Feedback = 1
	w := newAsync(t, 3, m, 24, 64)
	var workers []*Worker
	counts, keeps := make([]int, 3), make([]bool, 3)
	for i := range 3 {
		o := w.options(i, func(s uint64) float32 { return float32(1+i) / float32(1+s%5) })
		r := &uneven{o.Replica.(*scripted), make(gradients.Vec, 2)}
		o.Replica = r
		counted := make(gradients.Vec, 2)
		codec, err := half(w.layout, w.layout.Fragments()[0])
		if err != nil {
			t.Fatal(err)
		}
		o.Landed = func(ctx context.Context, l Landing) error {
			if e, ok := l.Certificate.Counts(signer(1 + i).ID); ok {
				counts[i]++
				h := e.SignedHeader
				payload, err := o.Exchange.Open(ctx, &h)
				if err != nil {
					return err
				}
				b := make([]byte, h.Size)
				if _, err := payload.Read(b); err != nil {
					return err
				}
				v := make(gradients.Vec, 2)
				if err := gradients.Decoded(codec, v, b); err != nil {
					return err
				}
				gradients.Axpy(counted, 1, v)
			}
			s := l.Worker.State()
			keeps[i] = keeps[i] || gradients.Norm(s.Residual) > 0
			kept := append(gradients.Vec(nil), s.Residual...)
			gradients.Axpy(kept, 1, counted)
			for _, f := range s.Flights {
				gradients.Axpy(kept, 1, f.Sent)
			}
			for k := range kept {
				if math.Abs(float64(kept[k]-r.deltas[k])) > 1e-4 {
					t.Errorf("worker %d after round %d: %v is counted, under way or kept, %v was moved", i, s.Seq, kept, r.deltas)
					break
				}
			}
			return nil
		}
		worker, err := NewWorker(o)
		if err != nil {
			t.Fatal(err)
		}
		workers = append(workers, worker)
	}
	run(t, workers...)
	for i, one := range workers {
		if one.Root() != workers[0].Root() {
			t.Errorf("worker %d ends at another root", i)
		}
		if counts[i] > 0 && !keeps[i] {
			t.Errorf("worker %d never keeps the smaller number", i)
		}
	}
	if counts[0]+counts[1]+counts[2] != 24 {
		t.Errorf("contributions counted: %v", counts)
	}
}

// A contribution that has become too old comes back into the residual whole, and leaves with the next one.
func TestTooOldComesBackWithFeedback(t *testing.T) {
	m := AsyncDiLoCo(f32, 1, 0, 0)
	m.Feedback = 1
	w := newAsync(t, 2, m, 6, 1)
	one := func(uint64) float32 { return 1 }
	o := w.options(0, one)
	gate := &gated{Exchange: o.Exchange, open: make(chan struct{})}
	o.Exchange = gate
	var residual []float32
	o.Landed = func(_ context.Context, l Landing) error {
		residual = append(residual, l.Worker.State().Residual[0])
		return nil
	}
	slow, err := NewWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	fast := w.worker(1, one, func(_ context.Context, l Landing) error {
		if l.Certificate.Seq == 3 {
			close(gate.open) // the slow worker's first offer comes when the log is two rounds further than it may be
		}
		return nil
	})
	run(t, slow, fast)
	if i := slices.IndexFunc(residual, func(x float32) bool { return x == 2 }); i != 1 {
		t.Errorf("residuals after the landings: %v; round 2 passes what was offered for round 1, two steps of 1", residual)
	}
	if slow.Root() != fast.Root() {
		t.Error("the workers end at different roots")
	}
}

// gated holds back the first offer.
type gated struct {
	Exchange
	open chan struct{}
	once bool
}

func (g *gated) Offer(ctx context.Context, c Contribution) error {
	if !g.once {
		g.once = true
		<-g.open
	}
	return g.Exchange.Offer(ctx, c)
}

// An asynchronous worker is resumed from any landing, also from one at which its own contribution was under way.
func TestResumeWhereNobodyWaits(t *testing.T) {
	m := AsyncDiLoCo(half, 0.7, 0.9, 2)
	m.Feedback = 0.9
	w := newAsync(t, 2, m, 12, 64)
	by := func(i int) func(uint64) float32 { return func(s uint64) float32 { return float32(1+i) / float32(s) } }
	type saved struct {
		worker int
		Snapshot
	}
	var all [2][]saved
	var flying int
	var workers []*Worker
	for i := range 2 {
		workers = append(workers, w.worker(i, by(i), func(_ context.Context, l Landing) error {
			p := l.Worker.Snapshot()
			for k, v := range p.Vectors {
				p.Vectors[k] = slices.Clone(v)
			}
			all[i] = append(all[i], saved{i, p})
			return nil
		}))
	}
	run(t, workers...)
	for _, s := range slices.Concat(all[0], all[1]) {
		o := w.options(s.worker, by(s.worker))
		o.Resume = &s.Snapshot
		again, err := NewWorker(o)
		if err != nil {
			t.Fatal(err)
		}
		flying += len(again.State().Flights)
		run(t, again)
		if again.Root() != workers[0].Root() {
			t.Errorf("worker %d resumed from %s: root %s, want %s", s.worker, s.Header, again.Root().Short(), workers[0].Root().Short())
		}
	}
	if flying == 0 {
		t.Error("no snapshot has a contribution under way")
	}
}
