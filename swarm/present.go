package swarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// Tip is the last round whose certificate is here.
func (n *Node) Tip() aggregator.Seq {
	if tip := n.ledger.tip(); tip != nil {
		return tip.Seq
	}
	return 0
}

// Certificate waits for the certificate of round n; 0 is the genesis.
func (n *Node) Certificate(ctx context.Context, seq aggregator.Seq) (*aggregator.Certificate, error) {
	return n.ledger.get(ctx, seq)
}

// Present fetches certificates until a connected peer has no more than are here, and returns the last one's round. It waits
// for peers as long as ctx lets it; the error then wraps ctx's and what the peers last said.
func (n *Node) Present(ctx context.Context) (aggregator.Seq, error) {
	const pause = 250 * time.Millisecond // between two tries: peers may still be connecting
	errs := errors.New("no peer is connected")
	for {
		for _, p := range n.host.Network().Peers() {
			err := n.fetchLog(p)
			if err == nil && n.ledger.tip() != nil {
				return n.Tip(), nil
			}
			if err != nil {
				errs = fmt.Errorf("%s: %w", p, err)
			}
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("swarm: %w: %w", ctx.Err(), errs)
		case <-n.ctx.Done():
			return 0, fmt.Errorf("swarm: %w", n.ctx.Err())
		case <-time.After(pause):
		}
	}
}
