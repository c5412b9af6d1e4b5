package swarm

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// Caps limit how fast a machine sends and receives, loopback included: a token bucket per direction, shared by all nodes that
// are given the same Caps. They are meant to hold on an interface's own counter, in every window of a second.
//
// Sending: what is let through in a second, with what headers and acknowledgements add, stays a sixteenth below the cap. Receiving:
// a program can only read slowly, and the sender notices when the socket's buffer is full; so buffers are small, and the
// bucket stays three sixteenths below the cap. On TCP that holds while few idle connections start at once. On QUIC it holds
// on average only, so that capped nodes dial TCP where they can. Not seen are packets that TCP sends again, DNS and multicast
// DNS. A cap below 8 KiB per second is not kept exactly: a packet is too large a part of it.
type Caps struct{ up, down *bucket }

// NewCaps limits to up and down bytes per second; 0 is no limit.
func NewCaps(up, down uint64) *Caps {
	return &Caps{up: newBucket(up, up/16, up/16), down: newBucket(down, 3*(down/16), down/32)}
}

const (
	capChunk = 16 << 10 // bytes that pass at once at most: small, so that many connections share a slow link evenly

	minBurst, maxBurst   = 4 << 10, 64 << 10
	minBuffer, maxBuffer = 8 << 10, 1 << 20

	// A packet carries so many bytes at least when there are more to send, and has at most so many bytes of headers:
	// Ethernet 14, IPv6 40, TCP with timestamps 32. Every second packet is acknowledged.
	packet, headers = 1280, 90

	greeting = 6 * headers // packets that open and close a connection, in one direction
)

// bucket is one direction of a cap: in any second at most its burst and its rate pass, together the cap without the margin.
type bucket struct {
	turn   chan struct{} // one waits at a time: else many waits that end late would end together
	limit  *rate.Limiter
	chunk  int // bytes that pass at once
	buffer int // bytes of a socket's buffer
}

func newBucket(perSecond, margin, buffer uint64) *bucket {
	if perSecond == 0 {
		return nil
	}
	usable := perSecond - margin
	burst := min(max(usable/16, minBurst), maxBurst)
	fill := usable - min(burst, usable/2)
	return &bucket{
		turn: make(chan struct{}, 1), limit: rate.NewLimiter(rate.Limit(fill), int(burst)), chunk: min(capChunk, int(burst)*3/4),
		buffer: int(min(max(buffer, minBuffer), maxBuffer)),
	}
}

// cost is what n bytes in one write or read are on the wire.
func cost(n int) int { return n + headers*((n+packet-1)/packet) }

// pay waits until n bytes on the wire may pass. A nil bucket lets everything pass at once.
func (b *bucket) pay(ctx context.Context, n int) {
	if b == nil {
		return
	}
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return
	}
	for n > 0 {
		step := min(n, b.limit.Burst())
		if b.limit.WaitN(ctx, step) != nil {
			return // the node is closing: its sockets are about to fail anyway
		}
		n -= step
	}
}

// charge books n bytes that pass in any case: whoever pays next waits longer.
func (b *bucket) charge(n int) {
	for b != nil && n > 0 {
		step := min(n, b.limit.Burst())
		b.limit.ReserveN(time.Now(), step)
		n -= step
	}
}

// acks is what the other side's acknowledgements of n bytes over TCP are on the wire.
func acks(n int) int { return headers * ((n + 2*packet - 1) / (2 * packet)) }

// narrow gives a socket small buffers, as far as its direction is capped.
func (m *meter) narrow(c any) {
	if s, ok := c.(interface{ SetReadBuffer(int) error }); ok && m.down != nil {
		_ = s.SetReadBuffer(m.down.buffer) // the system's own will do
	}
	if s, ok := c.(interface{ SetWriteBuffer(int) error }); ok && m.up != nil {
		_ = s.SetWriteBuffer(m.up.buffer)
	}
}

// piece is how much of p may pass at once.
func (b *bucket) piece(p []byte) []byte {
	if b == nil {
		return p
	}
	return p[:min(len(p), b.chunk)]
}
