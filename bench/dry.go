package bench

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// Dry is a swarm of which only time and bytes are asked for: no model, no data, no signatures, so thousands of workers and billions of
// parameters cost seconds. It follows the same schedule over the same network as Simulate; all workers stay to the end.
type Dry struct {
	Schedule aggregator.Schedule
	Hosts    []Host
	Seat     Host
	Topology string // all: everybody receives every payload; pair: one other worker does, drawn anew for every round
	Payload  int    // bytes of a contribution
	Header   int    // bytes that come with each, on its way to the committee and in the certificate

	Certificate int // bytes of a certificate besides
	Seed        uint64

	Encode time.Duration // that a worker needs to make a contribution
	Decode time.Duration // that it needs for each payload that it merges, before the parameters can move
}

// Run answers in the form of a simulation. Root is empty.
func (d Dry) Run() (*Result, error) {
	if d.Topology != "all" && d.Topology != "pair" {
		return nil, fmt.Errorf("topology %q is none of all, pair", d.Topology)
	}
	n := len(d.Hosts)
	r := &rehearsal{Dry: d, net: NewNetwork(append(slices.Clone(d.Hosts), d.Seat), d.Seed), clocks: make([]time.Duration, n),
		random: rand.New(rand.NewPCG(d.Seed, 0x70616972)), out: Result{Trained: make([]time.Duration, n), Waited: make([]time.Duration, n), Payload: make([]int64, n)},
		rounds: map[aggregator.Seq]*flight{}}
	s, done := d.Schedule, uint64(0)
	for step := uint64(1); step <= s.Steps; step++ {
		departs, leaves := s.Departs(step)
		lands, comes := s.Lands(step)
		if !leaves && !comes {
			continue
		}
		r.train(step - done)
		done = step
		if leaves {
			r.depart(departs)
		}
		if comes {
			r.land(lands)
		}
	}
	r.train(s.Steps - done)
	for len(r.rounds) > 0 {
		r.land(r.landed + 1)
	}
	r.out.Time = slices.Max(r.clocks)
	r.out.Sent, r.out.Received = r.net.sent[:n], r.net.received[:n]
	return &r.out, nil
}

// rehearsal is a dry run under way.
type rehearsal struct {
	Dry
	net    *Network
	random *rand.Rand
	clocks []time.Duration // of each worker
	rounds map[aggregator.Seq]*flight
	landed aggregator.Seq
	out    Result
}

// flight is a round under way: when each worker has all that it merges, and the certificate.
type flight struct{ merges, certificate []time.Duration }

// train lets every worker take some inner steps.
func (r *rehearsal) train(steps uint64) {
	for i, h := range r.Hosts {
		t := time.Duration(steps) * h.Step
		r.clocks[i] += t
		r.out.Trained[i] += t
	}
}

// depart puts every worker's contribution on the network, in the order in which they are ready.
func (r *rehearsal) depart(n aggregator.Seq) {
	count := len(r.Hosts)
	order := make([]int, count)
	for i := range order {
		order[i] = i
		r.clocks[i] += r.Encode
		r.out.Payload[i] += int64(r.Payload)
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(r.clocks[a], r.clocks[b]) })
	f := &flight{make([]time.Duration, count), make([]time.Duration, count)}
	r.rounds[n] = f
	closed := r.exchange(order, f)
	list := r.Certificate + r.Header*count
	for i := range f.certificate {
		f.certificate[i] = r.net.Note(count, i, list, closed)
	}
}

// exchange sends everybody's contribution to all others and the committee, or to one other and the header to the committee. It
// returns when the committee has what it needs to close the round.
func (r *rehearsal) exchange(order []int, f *flight) (closed time.Duration) {
	count := len(r.Hosts)
	if r.Topology == "pair" {
		r.pair(f)
		for _, i := range order {
			closed = max(closed, r.net.Note(i, count, r.Header, r.clocks[i]))
		}
		return closed
	}
	for k := 1; k <= count; k++ { // copy by copy, so that roads down fill in the order of time
		for _, i := range order {
			to := (i + k) % (count + 1)
			at := r.net.Send(i, to, r.Payload+r.Header, r.clocks[i])
			if to == count {
				closed = max(closed, at)
			} else {
				f.merges[to] = max(f.merges[to], at)
			}
		}
	}
	return closed
}

// pair lets the workers exchange by twos, which the beacon before the round has told them.
func (r *rehearsal) pair(f *flight) {
	order := r.random.Perm(len(r.Hosts))
	for k := 0; k+1 < len(order); k += 2 {
		a, b := order[k], order[k+1]
		f.merges[b] = r.net.Send(a, b, r.Payload+r.Header, r.clocks[a])
		f.merges[a] = r.net.Send(b, a, r.Payload+r.Header, r.clocks[b])
	}
}

// land lets every worker wait for a round and merge it.
func (r *rehearsal) land(n aggregator.Seq) {
	f := r.rounds[n]
	delete(r.rounds, n)
	r.landed = n
	merged := len(r.Hosts)
	if r.Topology == "pair" {
		merged = min(2, merged)
	}
	for i, now := range r.clocks {
		ready := max(now, f.merges[i], f.certificate[i])
		r.out.Waited[i] += ready - now
		r.clocks[i] = ready + time.Duration(merged)*r.Decode
	}
}
