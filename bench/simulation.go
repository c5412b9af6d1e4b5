package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// Options are what a simulation is made of.
type Options struct {
	Manifest aggregator.Manifest // Owner, Committee and FirstRoot are set by Simulate
	Method   aggregator.Method
	Layout   gradients.Layout
	Hosts    []Host // a worker each
	Seat     Host   // where the committee is
	// Replica builds a worker's model. All start from the same parameters.
	Replica func(worker int) (aggregator.Replica, error)
	Assign  func(beacon [32]byte, cursor uint64, roster []uint32, share uint64) []uint64
	// Landed, if set, is called after every landing of a worker, with its state at rest. It takes no virtual time.
	Landed func(ctx context.Context, worker int, at time.Duration, l aggregator.Landing) error
	Cores  int // real processors to train on; 0: one
}

// Result is what a simulation took. Slices are by worker.
type Result struct {
	Time     time.Duration   // when the last worker was done
	Root     aggregator.Hash // of the shared state at the end
	Trained  []time.Duration // spent on inner steps
	Waited   []time.Duration // spent waiting for certificates and payloads
	Payload  []int64         // bytes of a worker's own contributions
	Sent     []int64         // bytes that left its host, relayed to everybody
	Received []int64
}

// Utilisation is the part of the time that workers spent on inner steps, on average.
func (r *Result) Utilisation() float64 {
	var sum time.Duration
	for _, t := range r.Trained {
		sum += t
	}
	return float64(sum) / float64(r.Time) / float64(len(r.Trained))
}

// Simulate runs one swarm from its first step to its last landing.
func Simulate(ctx context.Context, o Options) (*Result, error) {
	s := &simulation{Options: o, clock: NewClock(o.Cores)}
	s.net = NewNetwork(append(append([]Host{}, o.Hosts...), o.Seat), o.Manifest.Seed)
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	for i, w := range s.workers {
		s.exchange.ports[i].task = s.clock.Go(fmt.Sprintf("worker %d", i), func(t *Task) error {
			w.replica.task = t
			err := w.Run(ctx)
			s.result.Time = max(s.result.Time, s.clock.now)
			return err
		})
	}
	if err := s.clock.Run(ctx); err != nil {
		return nil, err
	}
	return s.finish(), nil
}

type simulation struct {
	Options
	clock    *Clock
	net      *Network
	exchange *exchange
	workers  []*worker
	result   Result
}

// worker is one virtual worker: the loop of every worker over a replica whose steps take virtual time.
type worker struct {
	*aggregator.Worker
	replica *timed
}

// signers derives keys: whose they are does not matter, slots order the workers.
func signer(role byte, i int) aggregator.Signer {
	return aggregator.NewSigner([32]byte{'b', 'e', 'n', 'c', 'h', role, byte(i), byte(i >> 8), byte(i >> 16)})
}

func (s *simulation) open(ctx context.Context) error {
	owner, m := signer(0, 0), s.Manifest
	m.Committee = []aggregator.PeerID{owner.ID}
	replicas, ids := make([]aggregator.Replica, len(s.Hosts)), make([]aggregator.PeerID, len(s.Hosts))
	for i := range s.Hosts {
		r, err := s.Replica(i)
		if err != nil {
			return fmt.Errorf("worker %d: %w", i, err)
		}
		replicas[i], ids[i] = r, signer(1, i).ID
	}
	if len(replicas) == 0 {
		return fmt.Errorf("a simulation needs a host at least")
	}
	m.FirstRoot = s.firstRoot(replicas[0])
	signed := owner.SignManifest(m)
	s.exchange = &exchange{ctx: ctx, clock: s.clock, net: s.net, manifest: &signed.Manifest, payloads: map[aggregator.Hash]*parcel{}}
	for i, id := range ids {
		s.exchange.ports = append(s.exchange.ports, &port{exchange: s.exchange, host: i, self: id})
	}
	var err error
	if s.exchange.member, err = aggregator.NewMember(ctx, &signed.Manifest, owner, aggregator.NewMemoryLog(), ids, s.exchange.publish); err != nil {
		return err
	}
	for i, r := range replicas {
		w := &worker{replica: &timed{Replica: r, step: s.Hosts[i].Step}}
		w.Worker, err = aggregator.NewWorker(aggregator.Options{
			Manifest: &signed.Manifest, Genesis: s.exchange.genesis, Signer: signer(1, i), Method: s.Method, Layout: s.Layout,
			Replica: w.replica, Exchange: s.exchange.ports[i], Assign: s.Assign, Landed: s.landed(i), Pace: s.Hosts[i].pace(),
		})
		if err != nil {
			return fmt.Errorf("worker %d: %w", i, err)
		}
		s.workers = append(s.workers, w)
	}
	return nil
}

// firstRoot is the root of the shared state before the first step.
func (s *simulation) firstRoot(r aggregator.Replica) aggregator.Hash {
	fragments, anchor := s.Layout.Fragments(), make(gradients.Vec, s.Layout.Len())
	r.Read(anchor, gradients.Fragment{Hi: len(anchor)})
	outer := make([]gradients.Vec, s.Method.Outer(s.Layout, fragments[0]).Slots())
	for i := range outer {
		outer[i] = make(gradients.Vec, len(anchor))
	}
	return aggregator.Root(fragments, anchor, outer)
}

func (s *simulation) landed(worker int) func(context.Context, aggregator.Landing) error {
	if s.Landed == nil {
		return nil
	}
	return func(ctx context.Context, l aggregator.Landing) error { return s.Landed(ctx, worker, s.clock.now, l) }
}

func (s *simulation) finish() *Result {
	r, n := &s.result, len(s.workers)
	r.Root = s.workers[0].Root()
	r.Sent, r.Received = s.net.sent[:n], s.net.received[:n]
	for i, w := range s.workers {
		p := s.exchange.ports[i]
		r.Trained, r.Waited, r.Payload = append(r.Trained, w.replica.spent), append(r.Waited, p.waits), append(r.Payload, p.bytes)
	}
	return r
}

// timed is a replica whose inner steps take virtual time. They run beside those of other workers.
type timed struct {
	aggregator.Replica
	task  *Task
	step  time.Duration
	spent time.Duration
}

// Step implements aggregator.Replica.
func (r *timed) Step(ctx context.Context) (loss float64, err error) {
	err = r.task.Work(r.step, func() (err error) {
		loss, err = r.Replica.Step(ctx)
		return err
	})
	r.spent += r.step
	return loss, err
}
