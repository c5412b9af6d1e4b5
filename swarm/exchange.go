package swarm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/internal/durable"
)

// Exchange is one worker's road to the swarm: aggregator.Exchange on a Node. While the log has no seat for the worker, it
// asks for one, unless it is paused.
type Exchange struct {
	n *Node

	mu      sync.Mutex
	offers  map[aggregator.Seq]*offer  // published, and not yet answered by a certificate
	took    map[aggregator.Seq]*notice // rounds of pairs: that the partner's payload is here, not yet answered either
	report  *notice                    // the last root reached
	leaving bool                       // until the next offer
	paused  bool                       // until Resume
}

var _ aggregator.Exchange = (*Exchange)(nil)

// offer is an own contribution on disk.
type offer struct {
	w     *want
	parts *partsList // nil: inline, or for a partner to fetch
	ticks int        // of repeat since it was published
}

// NewExchange makes the node a worker's. It ends with the node.
func NewExchange(n *Node) (*Exchange, error) { return newExchange(n, false) }

// NewPausedExchange is NewExchange, but asks for no seat before Resume: for a worker that has to get ready first.
func NewPausedExchange(n *Node) (*Exchange, error) { return newExchange(n, true) }

func newExchange(n *Node, paused bool) (*Exchange, error) {
	if err := n.Err(); err != nil {
		return nil, err
	}
	x := &Exchange{n: n, offers: map[aggregator.Seq]*offer{}, took: map[aggregator.Seq]*notice{}, paused: paused}
	if err := x.recall(); err != nil {
		return nil, fmt.Errorf("swarm: offers of an earlier life: %w", err)
	}
	n.mu.Lock()
	n.onPayload = x.taken
	n.mu.Unlock()
	n.spawn(x.follow)
	n.spawn(x.repeat)
	return x, nil
}

// Genesis waits for the first certificate.
func (x *Exchange) Genesis(ctx context.Context) (*aggregator.Certificate, error) {
	return x.n.ledger.get(ctx, 0)
}

// Next implements aggregator.Exchange. Old certificates come from the disk.
func (x *Exchange) Next(ctx context.Context, after aggregator.Seq) (*aggregator.Certificate, error) {
	return x.n.ledger.get(ctx, after+1)
}

// Tip implements aggregator.Exchange.
func (x *Exchange) Tip() aggregator.Seq {
	if tip := x.n.ledger.tip(); tip != nil {
		return tip.Seq
	}
	return 0
}

// Offer implements aggregator.Exchange: header and payload are synced to the disk before anything is sent.
func (x *Exchange) Offer(ctx context.Context, c aggregator.Contribution) error {
	if err := errors.Join(ctx.Err(), x.n.Err()); err != nil {
		return err
	}
	if sha256.Sum256(c.Bytes) != c.Payload || uint64(len(c.Bytes)) != c.Size {
		return malformed("payload is not the header's")
	}
	seq := x.n.round(&c.SignedHeader)
	o, err := x.stored(seq)
	if errors.Is(err, fs.ErrNotExist) {
		o, err = x.store(seq, c)
	}
	if err != nil {
		return fmt.Errorf("swarm: offer for round %d: %w", seq, err)
	}
	x.mu.Lock()
	x.offers[seq] = o
	x.leaving = false
	x.mu.Unlock()
	x.publish(o)
	return nil
}

// recall finds what an earlier life offered and no certificate has answered: it is published again, whether the worker comes by there once more or not.
func (x *Exchange) recall() error {
	for _, seq := range x.n.depot.rounds() {
		h, err := x.signed(seq)
		if err != nil || x.n.ledger.answered(h) { // there is none, or none that is of any use
			continue
		}
		if x.offers[seq], err = x.stored(seq); errors.Is(err, fs.ErrNotExist) {
			delete(x.offers, seq)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (x *Exchange) offerPath(seq aggregator.Seq) string {
	return filepath.Join(x.n.depot.round(seq), "offer")
}

// stored finds the offer of an earlier call, or of an earlier life: its bytes win. One whose payload is damaged is none.
func (x *Exchange) stored(seq aggregator.Seq) (*offer, error) {
	h, err := x.signed(seq)
	if err != nil {
		return nil, err
	}
	w, _, err := x.n.depot.want(h, seq, needNone)
	if err != nil {
		return nil, err
	}
	if !w.isHere() {
		return nil, fs.ErrNotExist
	}
	return x.offer(w)
}

// signed is the header of the offer of an earlier call or life.
func (x *Exchange) signed(seq aggregator.Seq) (*aggregator.SignedHeader, error) {
	b, err := os.ReadFile(x.offerPath(seq))
	if err != nil {
		return nil, err
	}
	h, err := aggregator.DecodeHeader(b)
	return &h, err
}

// store makes a contribution durable. After a power cut in between, a header without its payload may be left: then nothing was
// sent yet, and stored says that there is no offer.
func (x *Exchange) store(seq aggregator.Seq, c aggregator.Contribution) (*offer, error) {
	w, _, err := x.n.depot.want(&c.SignedHeader, seq, needNone)
	if err != nil {
		return nil, err
	}
	if err := x.n.depot.put(w, c.Bytes, durable.Content); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(x.offerPath(seq), 0o600, durable.Name, c.SignedHeader.Encode()); err != nil {
		return nil, err
	}
	return x.offer(w)
}

func (x *Exchange) offer(w *want) (*offer, error) {
	if w.header.Size <= inlineLimit || x.n.Run.Paired(w.seq) {
		return &offer{w: w}, nil
	}
	f, err := os.Open(w.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := listParts(x.n.signer, w.header, f)
	return &offer{w: w, parts: l}, err
}

// shortList is how many parts a list names that is sent as fast as a header.
const shortList = 32

// publish sends an offer: the header to the headers' topic, and the payload, or the list of its parts, to the payloads'. A short list, which
// holds the header too, goes alone. In a round of pairs the partner fetches the payload.
func (x *Exchange) publish(o *offer) {
	g := x.n.gossip
	if o.parts == nil || len(o.parts.hashes) > shortList {
		g.publish(g.headers, kindHeader, o.w.header.Encode())
	}
	if x.n.Run.Paired(o.w.seq) {
		return
	}
	if o.parts != nil {
		g.publish(g.payloads, kindParts, o.parts.encode())
		x.n.parts.pull(o.w, o.parts)
		return
	}
	payload, err := o.w.read()
	if err != nil {
		x.n.spoiled(o.w, fmt.Errorf("swarm: own offer: %w", err))
		return
	}
	g.publish(g.payloads, kindPayload, o.w.header.Encode(), payload)
}

// Open implements aggregator.Exchange: from the disk, or from whoever has it. The error is aggregator.ErrGone if nobody has it any more.
func (x *Exchange) Open(ctx context.Context, h *aggregator.SignedHeader) (io.ReadCloser, error) {
	if h.Size > uint64(x.n.MaxPayload(h.Key.Fragment)) {
		return nil, malformed("payload of %d bytes, at most %d make sense", h.Size, x.n.MaxPayload(h.Key.Fragment))
	}
	w, err := x.n.know(h, needCounted)
	if err != nil {
		return nil, err
	}
	select {
	case <-w.here:
		return os.Open(w.path)
	case <-w.gone:
		if w.lost {
			return nil, fmt.Errorf("swarm: payload %s of round %d: %w", h.Payload.Short(), w.seq, aggregator.ErrGone)
		}
		return nil, fmt.Errorf("swarm: payload %s was pruned", h.Payload.Short())
	case <-ctx.Done():
		return nil, fmt.Errorf("swarm: payload %s: %w", h.Payload.Short(), ctx.Err())
	case <-x.n.ctx.Done():
		return nil, errClosed
	}
}

// errClosed says that the node was closed under its user.
var errClosed = errors.New("swarm: the node is closed")

// Seal implements aggregator.Exchange.
func (x *Exchange) Seal(ctx context.Context, s aggregator.Seq, root aggregator.Hash) error {
	if err := errors.Join(ctx.Err(), x.n.Err()); err != nil {
		return err
	}
	r := &notice{kind: kindReport, seq: s, root: root}
	r.sign(x.n.signer, x.n.run)
	x.mu.Lock()
	x.report = r
	x.mu.Unlock()
	x.notify(r)
	return nil
}

// taken tells the committee, in a round of pairs, that the partner's payload is here: only then do the two count.
func (x *Exchange) taken(w *want) {
	if !w.isHere() || !x.n.Run.Paired(w.seq) || w.header.Worker == x.n.signer.ID || w.seq <= x.Tip() {
		return
	}
	m := &notice{kind: kindTook, seq: w.seq, root: w.header.Payload}
	m.sign(x.n.signer, x.n.run)
	x.mu.Lock()
	before := x.took[w.seq]
	x.took[w.seq] = m
	x.mu.Unlock()
	if before == nil {
		x.notify(m)
	}
}

// Prune is the node's.
func (x *Exchange) Prune(before aggregator.Seq) error { return x.n.Prune(before) }

func (x *Exchange) notify(m *notice) { x.n.gossip.publish(x.n.gossip.log, m.kind, m.encode()) }

// follow reads the log as it grows: answered offers need no repetition, and a worker without a seat asks for one.
func (x *Exchange) follow() {
	var next aggregator.Seq
	if tip := x.n.ledger.tip(); tip != nil {
		next = tip.Seq
	}
	for {
		c, err := x.n.ledger.get(x.n.ctx, next)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				x.n.broken(err)
			}
			return
		}
		if tip := x.n.ledger.tip(); tip.Seq > c.Seq {
			c = tip // many at once: the last one answers for all
		}
		next = c.Seq + 1
		x.mu.Lock()
		maps.DeleteFunc(x.offers, func(_ aggregator.Seq, o *offer) bool { return x.n.ledger.answered(&o.w.header) })
		maps.DeleteFunc(x.took, func(seq aggregator.Seq, _ *notice) bool { return seq <= c.Seq })
		x.mu.Unlock()
		x.sit()
	}
}

// repeat publishes again what no certificate has answered: gossip loses messages, and peers come late.
func (x *Exchange) repeat() {
	tick := time.NewTicker(x.n.pace.republish)
	defer tick.Stop()
	for {
		select {
		case <-x.n.ctx.Done():
			return
		case <-x.n.present:
			x.sit()
			continue
		case <-tick.C:
		}
		x.mu.Lock()
		var due []*offer
		for _, o := range x.offers {
			if again(o.ticks) { // not at the first tick, which may follow at once
				due = append(due, o)
			}
			o.ticks++
		}
		took := slices.Collect(maps.Values(x.took))
		report := x.report
		x.mu.Unlock()
		for _, o := range due {
			x.publish(o)
		}
		for _, m := range took {
			x.notify(m)
		}
		if report != nil && report.seq == x.n.Run.Schedule.Rounds() && !x.n.ledger.closed() {
			x.notify(report)
		}
		x.sit()
	}
}
