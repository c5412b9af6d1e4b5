package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// exchange is the swarm: a committee of one, the certificates that every worker has seen, and the payloads under way.
type exchange struct {
	ctx      context.Context
	clock    *Clock
	net      *Network
	manifest *aggregator.Manifest
	member   *aggregator.Member
	elapsed  time.Duration // that the member knows of
	ports    []*port
	genesis  *aggregator.Certificate
	payloads map[aggregator.Hash]*parcel // by the hash of the header: two workers may send the same bytes
}

// parcel is a payload and when each host has it.
type parcel struct {
	bytes   []byte
	round   aggregator.Seq
	arrives []time.Duration // by host; before it was sent there: never
	sent    Signal          // it was, to one more
}

const never time.Duration = -1

// seat is the committee's host, the one behind the workers'.
func (x *exchange) seat() int { return len(x.ports) }

// publish sends a certificate to every worker.
func (x *exchange) publish(c *aggregator.Certificate) {
	if c.Seq == 0 && c.Kind != aggregator.Closing {
		x.genesis = c
		for _, p := range x.ports {
			p.certs = append(p.certs, c)
		}
		return
	}
	size := len(c.Encode())
	for _, p := range x.ports {
		x.clock.At(x.net.Note(x.seat(), p.host, size, x.clock.now), func() { p.read(c) })
	}
	for h, p := range x.payloads { // nobody asks for these any more: every worker has landed all rounds that far back
		if p.round+keep+x.manifest.MaxStaleness < c.Seq {
			delete(x.payloads, h)
		}
	}
}

// keep is how many rounds payloads stay: longer than any worker may lag behind the log.
const keep = 64

// tell feeds the committee, after what time has passed for it.
func (x *exchange) tell(ctx context.Context, events func(*aggregator.Rounds)) error {
	passed := (x.clock.now - x.elapsed).Milliseconds()
	x.elapsed += time.Duration(passed) * time.Millisecond
	return x.member.Do(ctx, func(r *aggregator.Rounds) {
		r.Elapse(aggregator.Millis(passed))
		events(r)
	})
}

// port is one worker's end of the exchange. It implements aggregator.Exchange.
type port struct {
	*exchange
	host  int
	self  aggregator.PeerID
	task  *Task
	certs []*aggregator.Certificate // seen by this worker
	news  Signal
	bytes int64 // of its payloads
	waits time.Duration
}

// read takes in a certificate. A worker that lost its seat asks for it again at once.
func (p *port) read(c *aggregator.Certificate) {
	p.certs = append(p.certs, c)
	p.news.Broadcast(p.clock)
	if !p.task.done && slices.Contains(c.Left, aggregator.Slot(p.host)) {
		p.join()
	}
}

// join asks the committee for a seat.
func (p *port) join() {
	const request = 64 // bytes
	p.clock.At(p.net.Note(p.host, p.seat(), request, p.clock.now), func() {
		p.report(func(r *aggregator.Rounds) { r.Join(p.self) })
	})
}

// report tells the committee something. A committee that fails ends the simulation.
func (p *port) report(events func(*aggregator.Rounds)) {
	if err := p.tell(p.ctx, events); err != nil && p.clock.fail == nil {
		p.clock.fail = fmt.Errorf("committee: %w", err)
	}
}

// Offer implements aggregator.Exchange: the payload leaves for all others and the committee, or, in a round of pairs, for the partner, and the
// header for the committee.
func (p *port) Offer(_ context.Context, c aggregator.Contribution) error {
	if sha256.Sum256(c.Bytes) != c.Payload {
		return fmt.Errorf("%w: payload is not the header's", aggregator.ErrMalformed)
	}
	round, _ := p.manifest.Schedule.Departs(c.Key.Departure)
	sent := &parcel{bytes: c.Bytes, round: round, arrives: slices.Repeat([]time.Duration{never}, len(p.ports)+1)}
	sent.arrives[p.host] = p.clock.now
	p.payloads[c.Header.Hash()] = sent
	p.bytes += int64(len(c.Bytes))
	if p.manifest.Paired(round) {
		p.meet(sent, &c.SignedHeader)
	} else {
		p.send(sent, &c.SignedHeader, 1)
	}
	return nil
}

// receipt is the size in bytes of a worker's word that it has its partner's payload.
const receipt = 175

// meet puts a payload on the way to the one who reads it, who tells the committee when it is there.
func (p *port) meet(sent *parcel, h *aggregator.SignedHeader) {
	p.clock.At(p.net.Note(p.host, p.seat(), len(h.Encode()), p.clock.now), func() { p.offered(h) })
	p.report(func(r *aggregator.Rounds) {
		id, ok := r.Chain().Partner(p.self)
		if !ok || r.Chain().Tip().Seq+1 != sent.round {
			return // alone, or late
		}
		partner := p.ports[slices.IndexFunc(p.ports, func(q *port) bool { return q.self == id })]
		at := p.net.Send(p.host, partner.host, len(sent.bytes)+len(h.Encode()), p.clock.now)
		sent.arrives[partner.host] = at
		p.clock.At(at, func() {
			if partner.task.dead || partner.task.done {
				return
			}
			p.clock.At(p.net.Note(partner.host, p.seat(), receipt, at), func() {
				p.report(func(r *aggregator.Rounds) { r.Took(id, sent.round, h.Payload) })
			})
		})
	})
}

// send puts the k-th copy of a payload on the network, and the ones after it when the road up is free: whoever is first on the road
// down to a host is then whoever came first. Each worker starts with its neighbour, so that no host is crowded first.
func (p *port) send(sent *parcel, h *aggregator.SignedHeader, k int) {
	to := (p.host + k) % (len(p.ports) + 1)
	sent.arrives[to] = p.net.Send(p.host, to, len(sent.bytes)+len(h.Encode()), p.clock.now)
	sent.sent.Broadcast(p.clock)
	if to == p.seat() {
		p.clock.At(sent.arrives[to], func() { p.offered(h) })
	}
	if k < len(p.ports) {
		p.clock.At(p.net.up[p.host], func() { p.send(sent, h, k+1) })
	}
}

// offered tells the committee of a contribution that it has.
func (p *port) offered(h *aggregator.SignedHeader) {
	// A refusal is no error of the offer: the worker learns from the certificate that it is not counted.
	p.report(func(r *aggregator.Rounds) { _ = r.Offer(*h) })
	for _, ms := range []aggregator.Millis{p.manifest.Grace, p.manifest.Deadline} { // when the committee has to look again
		p.clock.At(p.clock.now+time.Duration(ms+1)*time.Millisecond, func() { p.report(func(*aggregator.Rounds) {}) })
	}
}

// Next implements aggregator.Exchange.
func (p *port) Next(_ context.Context, after aggregator.Seq) (*aggregator.Certificate, error) {
	start := p.clock.now
	for int(after)+1 >= len(p.certs) {
		if err := p.news.Wait(p.task); err != nil {
			return nil, err
		}
	}
	p.waits += p.clock.now - start
	return p.certs[after+1], nil
}

// Tip implements aggregator.Exchange.
func (p *port) Tip() aggregator.Seq { return p.certs[len(p.certs)-1].Seq }

// Open implements aggregator.Exchange: it waits until the payload has arrived.
func (p *port) Open(_ context.Context, h *aggregator.SignedHeader) (io.ReadCloser, error) {
	sent := p.payloads[h.Header.Hash()]
	if sent == nil {
		return nil, fmt.Errorf("payload %s is nowhere", h.Payload.Short())
	}
	start := p.clock.now
	for sent.arrives[p.host] == never {
		if err := sent.sent.Wait(p.task); err != nil {
			return nil, err
		}
	}
	if wait := sent.arrives[p.host] - p.clock.now; wait > 0 {
		if err := p.task.Sleep(wait); err != nil {
			return nil, err
		}
	}
	p.waits += p.clock.now - start
	return io.NopCloser(bytes.NewReader(sent.bytes)), nil
}

// Seal implements aggregator.Exchange.
func (p *port) Seal(_ context.Context, n aggregator.Seq, root aggregator.Hash) error {
	if n != p.manifest.Schedule.Rounds() {
		return nil // contributions carry the others
	}
	const report = 64 // bytes
	p.clock.At(p.net.Note(p.host, p.seat(), report, p.clock.now), func() {
		p.report(func(r *aggregator.Rounds) { r.Reached(p.self, n, root) })
	})
	return nil
}
