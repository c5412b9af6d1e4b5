package aggregator_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// scripted is a replica whose inner steps subtract given numbers: step n subtracts by(n) from every parameter.
type scripted struct {
	x     gradients.Vec
	at    uint64
	by    func(step uint64) float32
	grad  float32
	raw   bool // no inner optimizer: Delta is the gradient
	seats [][3]uint64
}

func (r *scripted) Len() int { return len(r.x) }
func (r *scripted) Begin(first, start, count uint64) error {
	r.at = first - 1
	r.seats = append(r.seats, [3]uint64{first, start, count})
	return nil
}
func (r *scripted) Step(context.Context) (float64, error) {
	r.at++
	r.grad = r.by(r.at)
	if !r.raw {
		for i := range r.x {
			r.x[i] -= r.grad
		}
	}
	return float64(r.grad), nil
}
func (r *scripted) Delta(dst, anchor gradients.Vec, f gradients.Fragment) {
	for i := range dst {
		if dst[i] = anchor[i] - r.x[f.Lo+i]; r.raw {
			dst[i] = r.grad
		}
	}
}
func (r *scripted) Read(dst gradients.Vec, f gradients.Fragment)  { copy(dst, r.x[f.Lo:f.Hi]) }
func (r *scripted) Write(src gradients.Vec, f gradients.Fragment) { copy(r.x[f.Lo:f.Hi], src) }
func (r *scripted) Class() uint16                                 { return 1 }
func (r *scripted) Save() ([]gradients.Vec, []uint64)             { return []gradients.Vec{r.x}, []uint64{r.at} }
func (r *scripted) Load(v []gradients.Vec, c []uint64) error {
	copy(r.x, v[0])
	r.at = c[0]
	return nil
}

func layout(fragments int) gradients.Layout {
	var l gradients.Layout
	for i := range fragments {
		l = append(l, gradients.Tensor{Name: fmt.Sprint("t", i), Shape: []int{2}, Off: 2 * i, Fragment: i})
	}
	return l
}

func f32(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
	return gradients.New("f32", l, f)
}

// deal gives slot i of the roster the i-th share.
func deal(_ [32]byte, cursor uint64, roster []uint32, share uint64) []uint64 {
	out := make([]uint64, len(roster))
	for i := range out {
		out[i] = cursor + uint64(i)*share
	}
	return out
}

func signer(i int) Signer { return NewSigner([32]byte{byte(i), 1}) }

// world is a swarm in memory and what its workers are made of.
type world struct {
	t        *testing.T
	manifest Manifest
	layout   gradients.Layout
	memory   *Memory
	method   Method
}

func newWorld(t *testing.T, n int, m Method, s Schedule) *world {
	t.Helper()
	w := &world{t: t, method: m, layout: layout(int(s.Fragments))}
	zero := make(gradients.Vec, w.layout.Len())
	outer := make([]gradients.Vec, m.Outer(w.layout, w.layout.Fragments()[0]).Slots())
	for i := range outer {
		outer[i] = make(gradients.Vec, len(zero))
	}
	topology := All
	if m.Name == "noloco" {
		topology = Pair
	}
	w.manifest = Manifest{
		Name: "test", Method: m.Name, Topology: topology, Schedule: s, Parameters: uint64(len(zero)), LayoutHash: LayoutHash(w.layout),
		FirstRoot: Root(w.layout.Fragments(), zero, outer), Committee: []PeerID{signer(0).ID},
		BatchSize: 2, SeqLen: 8, Sequences: 100, MinPeers: 1, Deadline: 1000,
	}
	w.remake(n, func(*Manifest) {})
	return w
}

// remake starts the swarm of n workers on other terms.
func (w *world) remake(n int, change func(*Manifest)) {
	w.t.Helper()
	terms := w.manifest
	change(&terms)
	w.manifest = signer(0).SignManifest(terms).Manifest
	var workers []PeerID
	for i := range n {
		workers = append(workers, signer(1+i).ID)
	}
	var err error
	if w.memory, err = NewMemory(w.t.Context(), &w.manifest, signer(0), NewMemoryLog(), workers); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) worker(i int, by func(uint64) float32, landed func(context.Context, Landing) error) *Worker {
	w.t.Helper()
	o := w.options(i, by)
	o.Landed = landed
	out, err := NewWorker(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) options(i int, by func(uint64) float32) Options {
	s := signer(1 + i)
	return Options{
		Manifest: &w.manifest, Genesis: w.memory.Genesis(), Signer: s, Method: w.method, Layout: w.layout, Assign: deal,
		Replica: &scripted{x: make(gradients.Vec, w.layout.Len()), by: by, raw: w.method.Gradient}, Exchange: w.memory.Exchange(s.ID),
	}
}

func run(t *testing.T, ws ...*Worker) {
	t.Helper()
	var wg sync.WaitGroup
	for _, w := range ws {
		wg.Go(func() {
			if err := w.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// anchors records the first parameter of the anchor after every landing.
func anchors(out *[]float32) func(context.Context, Landing) error {
	return func(_ context.Context, l Landing) error {
		*out = append(*out, l.Worker.State().Anchor[0])
		return nil
	}
}

func near(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-5 })
}

// One worker, H = 2, whose two steps add up to Δ = 1, 1, −.5, 0; outer Nesterov .9, lr .7 from Θ = 0. By hand:
// v = 1, 1.9, 1.21, 1.089 and Θ −= .7(Δ + .9v) gives −1.33, −3.227, −3.6393, −4.32537.
func TestDiLoCoHistory(t *testing.T) {
	w := newWorld(t, 1, DiLoCo(f32, 0.7, 0.9, 0, 0), Schedule{Every: 2, Fragments: 1, Steps: 8})
	deltas := []float32{1, 1, -.5, 0}
	var got []float32
	run(t, w.worker(0, func(step uint64) float32 { return deltas[(step-1)/2] / 2 }, anchors(&got)))
	if want := []float32{-1.33, -3.227, -3.6393, -4.32537}; !near(got, want) {
		t.Errorf("anchors %v, want %v", got, want)
	}
}

// Two workers move by 1 and by 3: the mean pseudo-gradient is 2, and with lr 1 and no momentum that is where Θ goes.
func TestWorkersMeetAtTheMean(t *testing.T) {
	w := newWorld(t, 2, DiLoCo(f32, 1, 0, 0, 0), Schedule{Every: 1, Fragments: 1, Steps: 3})
	var a, b []float32
	run(t, w.worker(0, func(uint64) float32 { return 1 }, anchors(&a)), w.worker(1, func(uint64) float32 { return 3 }, anchors(&b)))
	if want := []float32{-2, -4, -6}; !near(a, want) || !slices.Equal(a, b) {
		t.Errorf("anchors %v and %v, want %v", a, b, want)
	}
}

// DDP sends gradients 1 and 3; AdamW's first step from zero moments is lr·sign, and Θ starts at 0, so there is no decay.
func TestDDPFirstStep(t *testing.T) {
	decay := func(_ gradients.Layout, f gradients.Fragment) [][2]int { return [][2]int{{0, f.Len()}} }
	lr := func(uint64) float32 { return 0.125 }
	m := DDP(f32, gradients.AdamWOptions{Beta1: .9, Beta2: .95, Eps: 1e-8, WeightDecay: .1}, 1, decay, lr)
	w := newWorld(t, 2, m, Schedule{Every: 1, Fragments: 1, Steps: 1})
	var got []float32
	run(t, w.worker(0, func(uint64) float32 { return 1 }, anchors(&got)), w.worker(1, func(uint64) float32 { return 3 }, nil))
	if !near(got, []float32{-0.125}) {
		t.Errorf("anchor %v, want -0.125", got)
	}
}

// Two fragments, H = 4, τ = 1, α = .5, one worker that subtracts 1 a step. Fragment 0 leaves after step 2 having moved
// by 2, lands after step 3: Θ = −2, local −3 → −2.5. It leaves again after step 6 (fragment 0: −2.5 − 3 = −5.5, Δ = 3.5), lands
// after 7: Θ = −5.5, local −6.5 → −6. Fragment 1 leaves after 4 (Δ = 4), lands after 5: Θ = −4, local −5 → −4.5.
func TestStreamingHistory(t *testing.T) {
	w := newWorld(t, 1, DiLoCo(f32, 1, 0, 0.5, 0), Schedule{Every: 4, Fragments: 2, Delay: 1, Steps: 8})
	type at struct {
		step     uint64
		fragment int
		anchor   float32
		local    float32
	}
	var got []at
	run(t, w.worker(0, func(uint64) float32 { return 1 }, func(_ context.Context, l Landing) error {
		f := l.Certificate.Key.Fragment
		got = append(got, at{l.Step, f, l.Worker.State().Anchor[2*f], l.Worker.Replica.(*scripted).x[2*f]})
		return nil
	}))
	want := []at{{3, 0, -2, -2.5}, {5, 1, -4, -4.5}, {7, 0, -5.5, -6}, {8, 1, -7.5, -7.5}}
	if !slices.Equal(got, want) {
		t.Errorf("landings %v, want %v", got, want)
	}
}

// With error feedback around int8 the anchor and the residuals together hold all that was ever moved.
func TestFeedbackLosesNothing(t *testing.T) {
	int8 := func(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
		return gradients.New("int8", l, f)
	}
	w := newWorld(t, 1, DiLoCo(int8, 1, 0, 0, 1), Schedule{Every: 1, Fragments: 1, Steps: 50})
	var moved float64
	by := func(step uint64) float32 { return 0.01 * float32(step%7) }
	for s := range uint64(50) {
		moved += float64(by(s + 1))
	}
	one := w.worker(0, by, nil)
	run(t, one)
	s := one.State()
	if got := float64(-s.Anchor[0] + s.Residual[0]); math.Abs(got-moved) > 1e-5 {
		t.Errorf("anchor and residual hold %v, %v was moved", got, moved)
	}
}

// A snapshot taken at any landing and resumed in a new worker leads to the same final root.
func TestResumeAtEveryLanding(t *testing.T) {
	methods := map[string]Schedule{
		"blocking":  {Every: 3, Fragments: 1, Steps: 12},
		"streaming": {Every: 4, Fragments: 2, Delay: 3, Steps: 12},
	}
	for name, schedule := range methods {
		t.Run(name, func(t *testing.T) {
			m := DiLoCo(f32, 0.7, 0.9, 0.5, 0.5)
			resumeEverywhere(t, newWorld(t, 1, m, schedule))
		})
	}
}

// resumeEverywhere runs a world of one worker, and once more from a snapshot of every landing.
func resumeEverywhere(t *testing.T, w *world) {
	t.Helper()
	by := func(step uint64) float32 { return 1 / float32(step) }
	var saved []Snapshot
	whole := w.worker(0, by, func(_ context.Context, l Landing) error {
		p := l.Worker.Snapshot()
		for i, v := range p.Vectors {
			p.Vectors[i] = slices.Clone(v)
		}
		saved = append(saved, p)
		return nil
	})
	run(t, whole)
	for i := range saved {
		o := w.options(0, by)
		o.Resume = &saved[i]
		again, err := NewWorker(o)
		if err != nil {
			t.Fatal(err)
		}
		run(t, again)
		if again.Root() != whole.Root() {
			t.Errorf("%s resumed at landing %d: root %s, want %s", w.method.Name, i+1, again.Root().Short(), whole.Root().Short())
		}
	}
}

// A worker that falls silent costs one deadline: it leaves the roster, its reservation is not used, the others go on,
// and a worker that starts from another state is not let in.
func TestSilentWorkerLeavesTheRoster(t *testing.T) {
	w := newWorld(t, 3, DiLoCo(f32, 1, 0, 0, 0), Schedule{Every: 1, Fragments: 1, Steps: 4})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var a, b []float32
	one := w.worker(0, func(uint64) float32 { return 1 }, anchors(&a))
	two := w.worker(1, func(uint64) float32 { return 3 }, anchors(&b))
	silent := w.worker(2, func(step uint64) float32 {
		if step == 2 {
			cancel()
		}
		return 8
	}, nil)
	gone := make(chan struct{})
	go func() { defer close(gone); _ = silent.Run(ctx) }()
	done := make(chan struct{})
	go func() { defer close(done); run(t, one, two) }()
	<-gone
	for elapsed := false; !elapsed; {
		err := w.memory.Do(t.Context(), func(r *Rounds) {
			if len(r.Waiting()) == 1 && r.Waiting()[0] == signer(3).ID && r.Chain().Tip().Seq == 1 {
				r.Elapse(1000)
				elapsed = true
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	<-done
	if want := []float32{-4, -6, -8, -10}; !near(a, want) || !slices.Equal(a, b) {
		t.Errorf("anchors %v and %v, want %v", a, b, want)
	}
	if got := one.Chain().Roster().Slots(); !slices.Equal(got, []Slot{0, 1}) {
		t.Errorf("roster %v, want slots 0 and 1", got)
	}
}

// A replica that does not start from the manifest's parameters is refused before it trains.
func TestOtherStartIsRefused(t *testing.T) {
	w := newWorld(t, 1, DiLoCo(f32, 1, 0, 0, 0), Schedule{Every: 1, Fragments: 1, Steps: 1})
	o := w.options(0, nil)
	o.Replica.(*scripted).x[0] = 1
	if _, err := NewWorker(o); err == nil {
		t.Error("a worker with other first parameters was accepted")
	}
}
