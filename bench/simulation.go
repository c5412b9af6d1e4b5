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
	// Takes, if set, says how long an inner step of a worker takes, from 1: as it was measured, say. Else all take their host's Step.
	Takes  func(worker int, step uint64) time.Duration
	Assign func(beacon [32]byte, cursor uint64, roster []uint32, share uint64) []uint64
	// Landed, if set, is called after every landing of a worker, with its state at rest. It takes no virtual time.
	Landed func(ctx context.Context, worker int, at time.Duration, l aggregator.Landing) error
	Cores  int // real processors to train on; 0: one
	Faults []Fault
	Lost   func(worker int, departure uint64) bool // whose contributions count for nothing; nil: none are lost
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
	if err := CheckFaults(o.Faults, len(o.Hosts)); err != nil {
		return nil, err
	}
	s := &simulation{Options: o, ctx: ctx, clock: NewClock(o.Cores), spells: map[[2]uint64]time.Duration{}}
	s.net = NewNetwork(append(append([]Host{}, o.Hosts...), o.Seat), o.Manifest.Seed)
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	for i := range s.workers {
		s.start(i, nil)
	}
	if err := s.clock.Run(ctx); err != nil {
		return nil, err
	}
	return s.finish(), nil
}

type simulation struct {
	Options
	ctx      context.Context
	clock    *Clock
	net      *Network
	exchange *exchange
	workers  []*worker
	result   Result
	shared   *aggregator.Shared          // the newest state, for those who come back
	spells   map[[2]uint64]time.Duration // when a slow spell ends, by worker and step
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
		s.workers = append(s.workers, &worker{replica: &timed{Replica: r, sim: s, worker: i}})
		if s.workers[i].Worker, err = s.loop(i, nil); err != nil {
			return fmt.Errorf("worker %d: %w", i, err)
		}
	}
	return nil
}

// loop is a worker's loop, from the first state or a later one.
func (s *simulation) loop(i int, from *aggregator.Shared) (*aggregator.Worker, error) {
	return aggregator.NewWorker(aggregator.Options{
		Manifest: s.exchange.manifest, Genesis: s.exchange.genesis, Signer: signer(1, i), Method: s.losing(i), Layout: s.Layout,
		Replica: s.workers[i].replica, Exchange: s.exchange.ports[i], Assign: s.Assign, Landed: s.landed(i), Pace: s.Hosts[i].pace(), Start: from,
	})
}

// start begins a life of a worker: its first one, or from a later state on.
func (s *simulation) start(i int, from *aggregator.Shared) {
	w, p := s.workers[i], s.exchange.ports[i]
	again := p.task != nil
	p.task = s.clock.Go(fmt.Sprintf("worker %d", i), func(*Task) (err error) {
		if again {
			if w.replica.Replica, err = s.Replica(i); err != nil {
				return err
			}
			if w.Worker, err = s.loop(i, from); err != nil {
				return err
			}
			p.join()
		}
		err = w.Run(s.ctx)
		s.result.Time = max(s.result.Time, s.clock.now)
		return err
	})
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
	return func(ctx context.Context, l aggregator.Landing) error {
		s.remember(l.Worker.State())
		if s.Landed == nil {
			return nil
		}
		return s.Landed(ctx, worker, s.clock.now, l)
	}
}

func (s *simulation) finish() *Result {
	r, n := &s.result, len(s.workers)
	for _, w := range s.workers {
		if w.State().Seq == s.exchange.manifest.Schedule.Rounds() { // one that stayed to the end
			r.Root = w.Root()
		}
	}
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
	sim    *simulation
	worker int
	steps  uint64 // taken so far
	spent  time.Duration
}

// Step implements aggregator.Replica.
func (r *timed) Step(ctx context.Context) (loss float64, err error) {
	r.steps++
	takes := r.sim.Hosts[r.worker].Step
	if r.sim.Takes != nil {
		takes = r.sim.Takes(r.worker, r.steps)
	}
	takes, err = r.sim.suffer(r.worker, r.steps, takes)
	if err != nil {
		return 0, err
	}
	err = r.sim.exchange.ports[r.worker].task.Work(takes, func() (err error) {
		loss, err = r.Replica.Step(ctx)
		return err
	})
	r.spent += takes
	return loss, err
}
