package aggregator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
)

// Memory is a swarm inside one process: the twin of the real one, for tests and simulations. Time does not pass in it
// unless Elapse says so.
type Memory struct {
	mu       sync.Mutex
	manifest *Manifest
	member   *Member
	certs    []*Certificate
	payloads map[Hash][]byte
	offers   map[offerKey]Contribution
	grown    chan struct{} // closed and replaced whenever certs grows
}

type offerKey struct {
	worker    PeerID
	departure uint64
	fragment  int
}

// NewMemory starts a swarm of the given workers, with a committee of one that s is.
func NewMemory(ctx context.Context, m *Manifest, s Signer, log Log, workers []PeerID) (*Memory, error) {
	x := &Memory{manifest: m, payloads: map[Hash][]byte{}, offers: map[offerKey]Contribution{}, grown: make(chan struct{})}
	member, err := NewMember(ctx, m, s, log, workers, x.publish)
	x.member = member
	return x, err
}

func (x *Memory) publish(c *Certificate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.certs = append(x.certs, c)
	close(x.grown)
	x.grown = make(chan struct{})
}

// Genesis is the log's first entry.
func (x *Memory) Genesis() *Certificate {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.certs[0]
}

// Do feeds the aggregator role with events of its own: time, joins, leaves.
func (x *Memory) Do(ctx context.Context, events func(*Rounds)) error { return x.member.Do(ctx, events) }

// Exchange returns one worker's port.
func (x *Memory) Exchange(worker PeerID) Exchange { return &memoryPort{x, worker} }

type memoryPort struct {
	*Memory
	self PeerID
}

// Offer implements Exchange.
func (p *memoryPort) Offer(ctx context.Context, c Contribution) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if sha256.Sum256(c.Bytes) != c.Payload || uint64(len(c.Bytes)) != c.Size {
		return fmt.Errorf("%w: payload is not the header's", ErrMalformed)
	}
	k := offerKey{p.self, c.Key.Departure, c.Key.Fragment}
	p.mu.Lock()
	if earlier, ok := p.offers[k]; ok {
		c = earlier
	}
	p.offers[k] = c
	p.payloads[c.Payload] = c.Bytes
	p.mu.Unlock()
	// A refusal is no error of the offer: the worker learns from the certificate that it is not counted.
	round, _ := p.manifest.Schedule.Departs(c.Key.Departure)
	return p.member.Do(ctx, func(r *Rounds) {
		_ = r.Offer(c.SignedHeader)
		if partner, ok := r.Chain().Partner(p.self); ok {
			r.Took(partner, round, c.Payload)
		}
	})
}

// Next implements Exchange.
func (p *memoryPort) Next(ctx context.Context, after Seq) (*Certificate, error) {
	for {
		p.mu.Lock()
		grown := p.grown
		if int(after)+1 < len(p.certs) {
			c := p.certs[after+1]
			p.mu.Unlock()
			return c, nil
		}
		p.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Tip implements Exchange.
func (p *memoryPort) Tip() Seq {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.certs[len(p.certs)-1].Seq
}

// Open implements Exchange.
func (p *memoryPort) Open(_ context.Context, h *SignedHeader) (io.ReadCloser, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, ok := p.payloads[h.Payload]
	if !ok {
		return nil, fmt.Errorf("payload %s is nowhere", h.Payload.Short())
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// Seal implements Exchange.
func (p *memoryPort) Seal(ctx context.Context, n Seq, root Hash) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.member.Do(ctx, func(r *Rounds) { r.Reached(p.self, n, root) })
}
