package swarm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/skein-train/skein/aggregator"
)

// Committee is the aggregator role on a Node of its own: it counts a contribution once its payload is on disk and passes
// the caller's check, certifies what is due, and hands the certificates out.
type Committee struct {
	n      *Node
	member *aggregator.Member
	check  func(*aggregator.SignedHeader, []byte) error
	closed chan struct{}
	memory *memory

	mu      sync.Mutex
	checked map[aggregator.Hash]error // verdict by header, of the open rounds
	once    sync.Once
}

// NewCommittee takes the seat that the manifest gives to the node's identity. The log is its memory across restarts; the
// workers are those of the genesis, if the log is empty. check refuses payloads that no worker could add up; it may be called
// from several goroutines. The role ends with the node.
func NewCommittee(ctx context.Context, n *Node, log aggregator.Log, workers []aggregator.PeerID, check func(*aggregator.SignedHeader, []byte) error) (*Committee, error) {
	c := &Committee{n: n, check: check, closed: make(chan struct{}), memory: newMemory(), checked: map[aggregator.Hash]error{}}
	var err error
	if c.member, err = aggregator.NewMember(ctx, &n.Run.Manifest, n.signer, log, workers, c.certified); err != nil {
		return nil, err
	}
	if err := n.Err(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.onPayload, n.onNotice, n.onLate = c.offered, c.noticed, c.late
	n.mu.Unlock()
	n.host.SetStreamHandler(protocolVerdict, n.handler(c.serveVerdict))
	n.host.SetStreamHandler(protocolNotice, n.handler(c.serveNotice))
	n.spawn(c.clock)
	n.spawn(c.repeat)
	return c, nil
}

// certified hands out a certificate. The member holds its lock meanwhile.
func (c *Committee) certified(cert *aggregator.Certificate) {
	known, err := c.n.take(cert)
	if err != nil {
		c.n.broken(fmt.Errorf("committee: certificate %d: %w", cert.Seq, err))
		return
	}
	if !known {
		c.publish(cert)
	}
	c.memory.certified(cert)
	c.mu.Lock()
	clear(c.checked)
	c.mu.Unlock()
	if cert.Kind == aggregator.Closing {
		c.once.Do(func() { close(c.closed) })
	}
}

func (c *Committee) publish(cert *aggregator.Certificate) {
	c.n.gossip.publish(c.n.gossip.log, kindCertificate, cert.Encode())
}

// do feeds the member. After an error of the log nothing more is signed: the member could contradict itself.
func (c *Committee) do(ctx context.Context, events func(*aggregator.Rounds)) error {
	if err := c.n.Err(); err != nil {
		return err
	}
	err := c.member.Do(ctx, events)
	if err != nil && ctx.Err() == nil {
		c.n.broken(err)
	}
	return err
}

// offered takes a contribution whose payload is on disk. In a round of pairs a header is enough: its reader says when it has the payload.
func (c *Committee) offered(w *want) {
	paired := c.n.Run.Paired(w.seq)
	if !paired && c.verdict(w) != nil {
		return
	}
	_ = c.do(c.n.ctx, func(r *aggregator.Rounds) {
		switch err := r.Offer(w.header); {
		case errors.Is(err, aggregator.ErrLate):
			c.memory.note(&w.header, w.seq, Late)
		case errors.Is(err, aggregator.ErrNotOnList): // it learns that when it asks
		case err != nil:
			c.refuse(w, err)
		case paired:
			c.memory.note(&w.header, w.seq, Incomplete)
		default:
			c.memory.note(&w.header, w.seq, Received)
		}
	})
}

// late hears of contributions to closed rounds, and of those whose payload was not complete when their round closed.
func (c *Committee) late(h *aggregator.SignedHeader, round aggregator.Seq, o Outcome) {
	c.memory.note(h, round, o)
}

// verdict checks a payload once, however often it is offered.
func (c *Committee) verdict(w *want) error {
	id := w.header.Header.Hash()
	c.mu.Lock()
	err, known := c.checked[id]
	c.mu.Unlock()
	if known {
		return err
	}
	payload, err := w.read()
	if err != nil {
		c.n.spoiled(w, err)
		return err
	}
	err = c.check(&w.header, payload)
	c.mu.Lock()
	_, told := c.checked[id]
	c.checked[id] = err
	c.mu.Unlock()
	if err != nil {
		c.memory.note(&w.header, w.seq, Invalid)
	}
	if !told {
		c.refuse(w, err)
	}
	return err
}

// refuse tells why a contribution is not counted, if there is a reason.
func (c *Committee) refuse(w *want, err error) {
	c.n.note("a contribution is not counted", err, "worker", w.header.Worker.String()[:8], "round", w.seq)
}

func (c *Committee) noticed(m *notice) {
	_ = c.do(c.n.ctx, func(r *aggregator.Rounds) {
		switch m.kind {
		case kindReport:
			r.Reached(m.from, m.seq, m.root)
		case kindJoin:
			r.Join(m.from)
		case kindLeave:
			r.Leave(m.from)
		case kindTook:
			r.Took(m.from, m.seq, m.root)
		}
	})
}

// serveNotice takes a notice from its author, and says so.
func (c *Committee) serveNotice(s network.Stream) error {
	b, err := c.n.request(s, 32+1+noticeSize)
	if err != nil {
		return err
	}
	who, err := peerID(s.Conn().RemotePeer())
	if err != nil {
		return malformed("%v", err)
	}
	k := kind(b[0])
	if k != kindJoin && k != kindLeave {
		return malformed("notice of kind %d", k)
	}
	obey, err := c.n.judgeNotice(who, k, b[1:])
	if err != nil {
		return err
	}
	obey()
	if err := c.Err(); err != nil {
		return err
	}
	_, err = s.Write([]byte{1})
	return err
}

// clock tells the round machine how much time has passed, by the monotonic clock.
func (c *Committee) clock() {
	tick := time.NewTicker(c.n.pace.elapse)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-c.n.ctx.Done():
			return
		case <-tick.C:
		}
		ms := time.Since(last).Milliseconds()
		last = last.Add(time.Duration(ms) * time.Millisecond)
		_ = c.do(c.n.ctx, func(r *aggregator.Rounds) { r.Elapse(aggregator.Millis(ms)) })
	}
}

// again says at which ticks of a clock a message without an answer is published once more: the first, the second, the fourth, and every eighth.
func again(tick int) bool { return tick > 0 && (tick%8 == 0 || tick < 8 && tick&(tick-1) == 0) }

// repeat publishes the last certificate again while nothing happens, so that nobody waits for a message that was lost.
func (c *Committee) repeat() {
	tick := time.NewTicker(c.n.pace.tip)
	defer tick.Stop()
	var last *aggregator.Certificate
	for idle := 0; ; idle++ {
		select {
		case <-c.n.ctx.Done():
			return
		case <-tick.C:
		}
		tip := c.n.ledger.tip()
		if tip != last {
			last, idle = tip, 0
		} else if tip != nil && again(idle) {
			c.publish(tip)
		}
	}
}

// Announce has the next certificate tell that the state after round s was published as a checkpoint.
func (c *Committee) Announce(s aggregator.Seq, cid string) error {
	return c.do(c.n.ctx, func(r *aggregator.Rounds) { r.Announce(aggregator.Announcement{Seq: s, CID: cid}) })
}

// Waiting names the workers that the open round waits for.
func (c *Committee) Waiting() (out []aggregator.PeerID) {
	_ = c.do(c.n.ctx, func(r *aggregator.Rounds) { out = r.Waiting() })
	return out
}

// Short is by how many contributions an overdue round falls short of the manifest's MinPeers; 0 if it does not.
func (c *Committee) Short() (missing int) {
	_ = c.do(c.n.ctx, func(r *aggregator.Rounds) { missing = r.Short() })
	return missing
}

// Closed is closed once the closing certificate is out.
func (c *Committee) Closed() <-chan struct{} { return c.closed }

// Err is why nothing more is signed: the disk is full, say. nil while all is well.
func (c *Committee) Err() error { return c.n.Err() }
