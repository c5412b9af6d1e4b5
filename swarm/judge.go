package swarm

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/internal/durable"
)

// errNotNow says that a message may be honest, but is of no use at the moment: too early, too late, from nobody we know.
var errNotNow = errors.New("not now")

// delivery does what an accepted message asks for.
type delivery func()

// horizon is how many rounds ahead of a node's own log a contribution may be: certificates and contributions overtake each
// other on the way.
const horizon = 4

// judge decodes and checks one message from a peer's mouth, and says what to do with it. Any other error than errOtherRun
// and errNotNow means that no honest peer would have sent or forwarded it.
func (n *Node) judge(author, from peer.ID, topic string, data []byte) (delivery, error) {
	k, body, err := unseal(data, n.run)
	if err != nil {
		return nil, err
	}
	who, err := peerID(author)
	if err != nil {
		return nil, err
	}
	switch {
	case topic == topicLog && k == kindCertificate:
		return n.judgeCertificate(from, body)
	case topic == topicLog && (k == kindReport || k == kindJoin || k == kindLeave || k == kindTook):
		return n.judgeNotice(who, k, body)
	case topic == topicHeaders && k == kindHeader:
		return n.judgeHeader(who, body)
	case topic == topicPayloads && k == kindPayload:
		return n.judgePayload(who, body)
	case topic == topicPayloads && k == kindParts:
		return n.judgeParts(who, body)
	}
	return nil, malformed("message of kind %d on topic %s", k, topic)
}

func (n *Node) judgeCertificate(from peer.ID, body []byte) (delivery, error) {
	c, err := aggregator.DecodeCertificate(body)
	if err != nil {
		return nil, err
	}
	known, err := n.take(&c)
	switch {
	case errors.Is(err, errGap):
		n.ask(from)
		return nil, errNotNow
	case err != nil:
		return nil, err
	case known && c.Seq < n.ledger.tip().Seq:
		return nil, errNotNow
	}
	return func() {}, nil
}

func (n *Node) judgeNotice(author aggregator.PeerID, k kind, body []byte) (delivery, error) {
	x, err := decodeNotice(k, n.run, body)
	if err != nil {
		return nil, err
	}
	if x.from != author {
		return nil, malformed("notice of %v from the mouth of %v", x.from, author)
	}
	tip := n.ledger.tip()
	if tip == nil || x.seq+2*horizon < tip.Seq || x.seq > tip.Seq+horizon {
		return nil, errNotNow
	}
	return func() { n.noticed(x) }, nil
}

func (n *Node) judgeHeader(author aggregator.PeerID, body []byte) (delivery, error) {
	h, err := aggregator.DecodeHeader(body)
	if err != nil {
		return nil, err
	}
	w, err := n.admit(author, &h)
	if err != nil {
		return nil, err
	}
	return func() { n.stored(w) }, nil
}

func (n *Node) judgePayload(author aggregator.PeerID, body []byte) (delivery, error) {
	if len(body) < aggregator.SignedHeaderSize {
		return nil, malformed("payload message of %d bytes", len(body))
	}
	h, err := aggregator.DecodeHeader(body[:aggregator.SignedHeaderSize])
	if err != nil {
		return nil, err
	}
	payload := body[aggregator.SignedHeaderSize:]
	if n.Run.Paired(n.round(&h)) {
		return nil, malformed("a payload for everybody in a round of pairs")
	}
	if uint64(len(payload)) != h.Size || h.Size > inlineLimit || sha256.Sum256(payload) != h.Payload {
		return nil, malformed("payload is not what its header says")
	}
	w, err := n.admit(author, &h)
	if err != nil {
		return nil, err
	}
	return func() {
		if err := n.depot.put(w, payload, durable.Crash); err != nil {
			n.spoiled(w, err)
		}
	}, nil // pursue tells about the arrival
}

func (n *Node) judgeParts(author aggregator.PeerID, body []byte) (delivery, error) {
	l, err := decodeParts(body)
	if err != nil {
		return nil, err
	}
	if n.Run.Paired(n.round(&l.header)) {
		return nil, malformed("a parts list for everybody in a round of pairs")
	}
	w, err := n.admit(author, &l.header)
	if err != nil {
		return nil, err
	}
	return func() { n.parts.pull(w, l) }, nil
}

// admit checks a header and registers its payload: right run and schedule, signed by the author, of a size that the
// codec can make, from the roster, and for a round that is open.
func (n *Node) admit(author aggregator.PeerID, h *aggregator.SignedHeader) (*want, error) {
	if h.Worker != author {
		return nil, malformed("header of %v from the mouth of %v", h.Worker, author)
	}
	if w := n.depot.known(h); w != nil && w.header == *h {
		return w, nil // checked before, and still wanted
	}
	err := n.ledger.checkHeader(h)
	switch {
	case errors.Is(err, aggregator.ErrOtherRun):
		return nil, errOtherRun
	case err != nil:
		return nil, err
	case h.Size > uint64(n.MaxPayload(h.Key.Fragment)):
		return nil, malformed("payload of %d bytes, at most %d make sense", h.Size, n.MaxPayload(h.Key.Fragment))
	}
	seq, tip := n.round(h), n.ledger.tip()
	answered := n.ledger.answered(h)
	if answered {
		n.missed(h, seq, Late)
	}
	if tip == nil || answered || seq > tip.Seq+horizon+n.ahead() || !n.ledger.seated(h.Worker) || n.depot.second(h, seq) {
		return nil, errNotNow
	}
	return n.know(h, n.use(h.Worker, seq))
}

// round is the number of the round that a checked header belongs to.
func (n *Node) round(h *aggregator.SignedHeader) aggregator.Seq {
	seq, _ := n.Run.Schedule.Departs(h.Key.Departure)
	return seq
}

// ahead is how many rounds are in flight at once on the schedule.
func (n *Node) ahead() aggregator.Seq {
	return 1 + aggregator.Seq(n.Run.Schedule.Delay/n.Run.Schedule.Stride())
}

// know registers a payload and sees to its arrival, if it is needed.
func (n *Node) know(h *aggregator.SignedHeader, need need) (*want, error) {
	w, first, err := n.depot.want(h, n.round(h), need)
	if err != nil {
		n.broken(err)
		return nil, fmt.Errorf("%w: %w", errNotNow, err)
	}
	if first {
		n.spawn(func() { n.pursue(w, need > needSent) })
	}
	return w, nil
}

// use says how badly this node needs a worker's payload of a round that is open, as far as it knows by now.
func (n *Node) use(author aggregator.PeerID, seq aggregator.Seq) need {
	switch {
	case !n.Run.Paired(seq):
		return needSent
	case n.ledger.partner(author, seq) == n.signer.ID:
		return needFetched
	}
	return needNone
}

// chasePartner sees to the arrival of what this node reads of a round of pairs, as soon as the log says what that is.
func (n *Node) chasePartner(seq aggregator.Seq) {
	if !n.Run.Paired(seq) {
		return
	}
	for _, w := range n.depot.of(seq) {
		_, _ = n.know(&w.header, n.use(w.header.Worker, seq)) // an error ends the node
	}
}

// stored tells whoever waits for it, the committee or this node's own exchange, about a contribution whose payload is on disk, or, in a round of
// pairs, known.
func (n *Node) stored(w *want) {
	n.mu.Lock()
	f := n.onPayload
	n.mu.Unlock()
	if f != nil && (w.isHere() || n.Run.Paired(w.seq)) {
		f(w)
	}
}

// missed tells the committee about a contribution that did not make it.
func (n *Node) missed(h *aggregator.SignedHeader, round aggregator.Seq, o Outcome) {
	n.mu.Lock()
	f := n.onLate
	n.mu.Unlock()
	if f != nil {
		f(h, round, o)
	}
}

func (n *Node) noticed(x *notice) {
	n.mu.Lock()
	f := n.onNotice
	n.mu.Unlock()
	if f != nil {
		f(x)
	}
}

// take adds a certificate to the log and gives up the payloads on their way that it leaves out.
func (n *Node) take(c *aggregator.Certificate) (known bool, err error) {
	known, err = n.ledger.add(c)
	if err != nil || known {
		return known, err
	}
	n.depot.count(c)
	dropped := n.depot.sweep(func(w *want) bool {
		return w.isHere() || w.need == needCounted || !n.ledger.answered(&w.header)
	})
	for _, w := range dropped {
		if e, _ := c.Counts(w.header.Worker); e.Payload != w.header.Payload {
			n.missed(&w.header, w.seq, Incomplete)
		}
	}
	n.parts.drop(dropped)
	n.chasePartner(c.Seq + 1)
	return false, nil
}
