package bench

import (
	"cmp"
	"crypto/sha256"
	"fmt"
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
	Topology aggregator.Topology
	Payload  int // bytes of a contribution
	Header   int // bytes that come with each, on its way to the committee and in the certificate

	Certificate int // bytes of a certificate besides
	Seed        uint64

	Encode time.Duration // that a worker needs to make a contribution
	Decode time.Duration // that it needs for each payload that it merges, before the parameters can move
}

// Run answers in the form of a simulation. Root is empty.
func (d Dry) Run() (*Result, error) {
	if d.Topology != aggregator.All && d.Topology != aggregator.Pair {
		return nil, fmt.Errorf("topology %q is none of %s, %s", d.Topology, aggregator.All, aggregator.Pair)
	}
	n := len(d.Hosts)
	r := &rehearsal{Dry: d, net: NewNetwork(append(slices.Clone(d.Hosts), d.Seat), d.Seed), clocks: make([]time.Duration, n),
		out:    Result{Trained: make([]time.Duration, n), Waited: make([]time.Duration, n), Payload: make([]int64, n)},
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
	clocks []time.Duration // of each worker
	rounds map[aggregator.Seq]*flight
	landed aggregator.Seq
	out    Result
}

// flight is a round under way: when each worker has all that it merges and the certificate, and how many payloads that are.
type flight struct {
	merges, certificate []time.Duration
	payloads            int
}

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
	f := &flight{make([]time.Duration, count), make([]time.Duration, count), count}
	r.rounds[n] = f
	closed := r.exchange(n, order, f)
	list := r.Certificate + r.Header*count
	for i := range f.certificate {
		f.certificate[i] = r.net.Note(count, i, list, closed)
	}
}

// exchange sends everybody's contribution to all others and the committee, or to one other and the header to the committee. It
// returns when the committee has what it needs to close the round.
func (r *rehearsal) exchange(n aggregator.Seq, order []int, f *flight) (closed time.Duration) {
	count := len(r.Hosts)
	if terms := (aggregator.Manifest{Topology: r.Topology, Schedule: r.Schedule}); terms.Paired(n) {
		return r.pair(n, f)
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

// pair lets the workers exchange by twos, by a beacon that is made up.
func (r *rehearsal) pair(n aggregator.Seq, f *flight) (closed time.Duration) {
	count := len(r.Hosts)
	roster := make([]aggregator.Slot, count)
	for i := range roster {
		roster[i] = aggregator.Slot(i)
	}
	f.payloads = min(2, count)
	for _, two := range aggregator.Pairs(sha256.Sum256(fmt.Append(nil, r.Seed, n)), roster) {
		for k, author := range two {
			closed = max(closed, r.net.Note(int(author), count, r.Header, r.clocks[author]))
			if reader := int(two[len(two)-1-k]); reader != int(author) {
				f.merges[reader] = r.net.Send(int(author), reader, r.Payload+r.Header, r.clocks[author])
			}
		}
	}
	for reader, at := range f.merges { // who is alone has nothing to wait for
		if at > 0 {
			closed = max(closed, r.net.Note(reader, count, receipt, at))
		}
	}
	return closed
}

// land lets every worker wait for a round and merge it.
func (r *rehearsal) land(n aggregator.Seq) {
	f := r.rounds[n]
	delete(r.rounds, n)
	r.landed = n
	for i, now := range r.clocks {
		ready := max(now, f.merges[i], f.certificate[i])
		r.out.Waited[i] += ready - now
		r.clocks[i] = ready + time.Duration(f.payloads)*r.Decode
	}
}
