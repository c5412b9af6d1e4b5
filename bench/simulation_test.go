package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
)

// slope is a replica on a quadratic bowl: each inner step goes down towards a point that hangs on the data.
type slope struct {
	x        gradients.Vec
	position uint64
}

func (r *slope) Len() int { return len(r.x) }
func (r *slope) Begin(_, start, _ uint64) error {
	r.position = start
	return nil
}
func (r *slope) Step(context.Context) (float64, error) {
	rnd, loss := rand.New(rand.NewPCG(r.position, 1)), 0.0
	r.position++
	for i := range r.x {
		d := r.x[i] - float32(i) - float32(rnd.NormFloat64())
		loss += float64(d) * float64(d)
		r.x[i] -= 0.05 * d
	}
	return loss, nil
}
func (r *slope) Delta(dst, anchor gradients.Vec, f gradients.Fragment) {
	for i := range dst {
		dst[i] = anchor[i] - r.x[f.Lo+i]
	}
}
func (r *slope) Read(dst gradients.Vec, f gradients.Fragment)  { copy(dst, r.x[f.Lo:f.Hi]) }
func (r *slope) Write(src gradients.Vec, f gradients.Fragment) { copy(r.x[f.Lo:f.Hi], src) }
func (r *slope) Class() uint16                                 { return 1 }
func (r *slope) Save() ([]gradients.Vec, []uint64)             { return []gradients.Vec{r.x}, []uint64{r.position} }
func (r *slope) Load([]gradients.Vec, []uint64) error          { return errors.New("not needed") }

// options are a swarm of n workers with 1,000 parameters in two fragments that overlap their exchange with two inner steps.
func options(n int) Options {
	l := gradients.Layout{{Name: "a", Shape: []int{600}}, {Name: "b", Shape: []int{400}, Off: 600, Fragment: 1}}
	return Options{
		Manifest: aggregator.Manifest{
			Name: "bench", Seed: 1, Method: "diloco", Codec: "int8", Topology: aggregator.All, Schedule: aggregator.Schedule{Every: 10, Fragments: 2, Delay: 2, Steps: 60},
			Parameters: 1000, LayoutHash: aggregator.LayoutHash(l), BatchSize: 1, SeqLen: 8, Sequences: 1e6, MinPeers: 1, Deadline: 60_000,
		},
		Method: aggregator.DiLoCo(func(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
			return gradients.New("int8", l, f)
		}, 0.7, 0.9, 0.5, 0.9),
		Layout: l, Hosts: slices.Repeat([]Host{{Step: 100 * time.Millisecond}}, n),
		Replica: func(int) (aggregator.Replica, error) { return &slope{x: make(gradients.Vec, 1000)}, nil },
		Assign:  shards.Assign, Cores: 2,
	}
}

func simulate(t *testing.T, o Options) *Result {
	t.Helper()
	r, err := Simulate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The twin: the same workers as goroutines over the memory exchange, in real time and whatever order the machine likes.
func TestASimulationReachesTheRootOfARealSwarm(t *testing.T) {
	o := options(3)
	got := simulate(t, o)
	s := &simulation{Options: o, clock: NewClock(1), net: NewNetwork(append(slices.Clone(o.Hosts), o.Seat), 1)}
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	manifest, ids := s.exchange.manifest, []aggregator.PeerID{}
	for _, p := range s.exchange.ports {
		ids = append(ids, p.self)
	}
	memory, err := aggregator.NewMemory(t.Context(), manifest, signer(0, 0), aggregator.NewMemoryLog(), ids)
	if err != nil {
		t.Fatal(err)
	}
	var roots [3]aggregator.Hash
	var g sync.WaitGroup
	for i := range roots {
		g.Go(func() {
			replica, _ := o.Replica(i)
			w, err := aggregator.NewWorker(aggregator.Options{
				Manifest: manifest, Genesis: memory.Genesis(), Signer: signer(1, i), Method: o.Method, Layout: o.Layout,
				Replica: replica, Exchange: memory.Exchange(ids[i]), Assign: o.Assign,
			})
			if err == nil {
				err = w.Run(t.Context())
			}
			if err != nil {
				t.Error(err)
				return
			}
			roots[i] = w.Root()
		})
	}
	g.Wait()
	for i, r := range roots {
		if r != got.Root {
			t.Errorf("worker %d of the real swarm ends at %s, the simulation at %s", i, r.Short(), got.Root.Short())
		}
	}
}

func TestASimulationIsRepeatable(t *testing.T) {
	o := options(4)
	for i := range o.Hosts {
		o.Hosts[i].Up, o.Hosts[i].Jitter, o.Hosts[i].Step = 1e6, 20*time.Millisecond, time.Duration(80+10*i)*time.Millisecond
	}
	history := func(cores int) (h []string) {
		o.Cores = cores
		o.Landed = func(_ context.Context, w int, at time.Duration, l aggregator.Landing) error {
			h = append(h, fmt.Sprint(w, at, l.Certificate.Seq, l.Norm))
			return nil
		}
		return append(h, fmt.Sprintf("%+v", simulate(t, o)))
	}
	if a, b := history(1), history(4); !slices.Equal(a, b) {
		t.Errorf("two runs differ: %v and %v", a, b)
	}
}

// Four workers, 10 steps of 100 ms a round, payloads of S bytes over roads of B bit/s. Everybody sends to three workers and the
// committee, so that a round takes 1 s of training and 4·8·S/B of sending.
func TestBlockingRoundsTakeTheTimeOfTheirBytes(t *testing.T) {
	o := options(4)
	o.Layout = gradients.Layout{{Name: "a", Shape: []int{1000}}}
	o.Manifest.LayoutHash = aggregator.LayoutHash(o.Layout)
	o.Manifest.Schedule = aggregator.Schedule{Every: 10, Fragments: 1, Steps: 50}
	o.Method = aggregator.DiLoCo(o.Method.Codec, 0.7, 0.9, 0, 0)
	for i := range o.Hosts {
		o.Hosts[i].Up = 40_000
	}
	r := simulate(t, o)
	payload := float64(r.Payload[0]) / 5
	want := 5 * (1 + 4*8*payload/40_000)
	if got := r.Time.Seconds(); got < want || got > 1.3*want { // headers and certificates come on top
		t.Errorf("5 rounds of %g bytes took %.3f s, expected %.3f s and a little", payload, got, want)
	}
	if u := r.Utilisation(); math.Abs(u-5/r.Time.Seconds()) > 1e-6 {
		t.Errorf("utilisation %g over %v", u, r.Time)
	}
}

// With a delay the bytes travel beside the training.
func TestOverlapHidesTheBytes(t *testing.T) {
	o := options(4)
	for i := range o.Hosts {
		o.Hosts[i].Up, o.Hosts[i].Down = 1e6, 1e6
	}
	if r := simulate(t, o); r.Time > 6100*time.Millisecond || r.Utilisation() < 0.98 {
		t.Errorf("60 steps of 100 ms took %v, utilisation %g", r.Time, r.Utilisation())
	}
}

func TestASlowWorkerIsLeftBehindAtTheDeadline(t *testing.T) {
	o := options(3)
	o.Hosts[2].Step, o.Manifest.Deadline = time.Second, 500
	counted := map[int]int{}
	o.Landed = func(_ context.Context, w int, _ time.Duration, l aggregator.Landing) error {
		if w == 0 {
			counted[len(l.Certificate.List)]++
		}
		return nil
	}
	simulate(t, o)
	if counted[2] == 0 || counted[3] != 0 {
		t.Errorf("rounds by the number that they count: %v", counted)
	}
}

func TestAFailureEndsEverybody(t *testing.T) {
	o := options(3)
	broken := errors.New("broken")
	o.Landed = func(_ context.Context, w int, _ time.Duration, l aggregator.Landing) error {
		if w == 1 && l.Certificate.Seq == 3 {
			return broken
		}
		return nil
	}
	if _, err := Simulate(t.Context(), o); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestNobodyWaitsForEver(t *testing.T) {
	c, never := NewClock(1), Signal{}
	c.Go("left over", func(t *Task) error { return never.Wait(t) })
	c.Go("busy", func(t *Task) error { return t.Sleep(time.Hour) })
	if err := c.Run(t.Context()); !errors.Is(err, ErrStuck) || c.Now() != time.Hour {
		t.Errorf("after %v: %v", c.Now(), err)
	}
}
