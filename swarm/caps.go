package swarm

import (
	"context"

	"golang.org/x/time/rate"
)

// Caps limit how fast a machine sends and receives: one token bucket per direction, shared by all nodes that are
// given the same Caps. Everything on their sockets counts, loopback too.
type Caps struct{ up, down *rate.Limiter }

const (
	capChunk = 16 << 10     // bytes that pass at once: small, so that many connections share a slow link evenly
	capBurst = 4 * capChunk // bytes that may pass after silence
)

// NewCaps limits to up and down bytes per second; 0 is no limit.
func NewCaps(up, down uint64) *Caps { return &Caps{up: bucket(up), down: bucket(down)} }

func bucket(perSecond uint64) *rate.Limiter {
	if perSecond == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), capBurst)
}

// pay waits until n bytes may pass. A nil bucket lets everything pass at once.
func pay(ctx context.Context, b *rate.Limiter, n int) {
	for b != nil && n > 0 {
		step := min(n, capChunk)
		if b.WaitN(ctx, step) != nil {
			return // the node is closing: its sockets are about to fail anyway
		}
		n -= step
	}
}
