package swarm

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/skein-train/skein/aggregator"
)

// protocolNotice tells a member of the committee something that it has to acknowledge: run ‖ kind ‖ notice → 1.
const protocolNotice protocol.ID = "/skein/notice/1"

// sit asks for a seat if the log has none for this worker, or gives it back if it is away.
func (x *Exchange) sit() {
	tip := x.n.ledger.tip()
	x.mu.Lock()
	leaving, paused := x.leaving, x.paused
	x.mu.Unlock()
	if tip == nil || x.n.behind.Load() || x.n.ledger.closed() {
		return
	}
	switch seated := x.n.ledger.seated(x.n.signer.ID); {
	case paused && seated: // an offer of the last steps took the goodbye back
		x.say(kindLeave, tip.Seq)
	case !paused && !leaving && !seated:
		x.say(kindJoin, tip.Seq)
	}
}

// Pause gives the worker's seat back, so that no round waits for it, and asks for none until Resume. Everything else goes
// on: the log is followed, payloads are opened, and an offer that is under way may still be counted.
func (x *Exchange) Pause() {
	x.mu.Lock()
	x.paused = true
	x.mu.Unlock()
	x.sit()
}

// Resume asks for a seat again: the one of before. A seat that was not given back yet is kept.
func (x *Exchange) Resume() {
	x.mu.Lock()
	x.paused = false
	x.mu.Unlock()
	if tip := x.n.ledger.tip(); tip != nil && x.n.ledger.seated(x.n.signer.ID) {
		x.say(kindJoin, tip.Seq) // takes the goodbye back
	}
	x.sit()
}

// Seated reports whether the worker is in the roster after the last certificate.
func (x *Exchange) Seated() bool { return x.n.ledger.seated(x.n.signer.ID) }

// Leave ends a worker's part in the run: it waits a few seconds at most until the committee has what was offered, and says goodbye until
// the committee acknowledges it or a certificate lets the worker go. An error means that the swarm waits for this
// worker until its next deadline; nothing else is lost. The node may be closed afterwards.
func (x *Exchange) Leave(ctx context.Context) error {
	x.mu.Lock()
	x.leaving = true
	x.mu.Unlock()
	x.deliver(ctx)
	ctx, cancel := context.WithTimeout(ctx, x.n.pace.farewell)
	defer cancel()
	for {
		tip := x.n.ledger.tip()
		if tip == nil || x.n.ledger.closed() || !x.n.ledger.seated(x.n.signer.ID) {
			return nil
		}
		bye := x.say(kindLeave, tip.Seq)
		_, err := x.n.petition(ctx, protocolNotice, append([]byte{byte(bye.kind)}, bye.encode()...), 1)
		if err == nil {
			return nil
		}
		if e := x.await(ctx, tip.Seq+1); e != nil {
			return fmt.Errorf("swarm: leaving: the committee does not acknowledge it, rounds wait for this worker until their deadline: %w", err)
		}
	}
}

// deliver waits until the committee has the offers that no certificate has answered, or for as long as is polite.
func (x *Exchange) deliver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, x.n.pace.owed)
	defer cancel()
	tick := time.NewTicker(x.n.pace.owed / 25)
	defer tick.Stop()
	for _, seq := range x.owed() {
		for !x.answered(seq) {
			v, err := x.n.Verdict(ctx, seq)
			if ctx.Err() != nil || err == nil && x.delivered(v) || x.n.alone() {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
}

// answered says whether the log has passed an offer.
func (x *Exchange) answered(seq aggregator.Seq) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.offers[seq] == nil
}

// delivered says whether a contribution is in, or never will be. In a round of pairs it is when it counts: till then the partner may
// still have to fetch it. In an asynchronous run no round is its own: it is when the log has it.
func (x *Exchange) delivered(v Verdict) bool {
	return v.Outcome != Pending && (v.Outcome != Received || !x.n.Run.Paired(v.Round)) && !x.n.Run.Async()
}

// owed are the rounds of the offers that no certificate has answered.
func (x *Exchange) owed() (out []aggregator.Seq) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for seq := range x.offers {
		out = append(out, seq)
	}
	return out
}

// alone reports whether the node has no connections: there is nobody to wait for.
func (n *Node) alone() bool { return len(n.host.Network().Peers()) == 0 }

// await waits for a certificate at most as long as a lost message takes to be repeated.
func (x *Exchange) await(ctx context.Context, n aggregator.Seq) error {
	wait, cancel := context.WithTimeout(ctx, x.n.pace.republish)
	defer cancel()
	if _, err := x.n.ledger.get(wait, n); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

func (x *Exchange) say(k kind, s aggregator.Seq) *notice {
	m := &notice{kind: k, seq: s}
	m.sign(x.n.signer, x.n.run)
	x.notify(m)
	return m
}
