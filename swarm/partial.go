package swarm

import (
	"encoding/binary"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p-pubsub/partialmessages"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/skein-train/skein/aggregator"
)

// partsExchange moves large payloads through gossipsub's partial messages: peers tell which parts they have, and send what
// they are asked for. A group is a contribution, named by its header's SHA-256. One goroutine owns the transfers.
type partsExchange struct {
	n         *Node
	pubsub    *pubsub.PubSub
	in        chan partMessage
	jobs      chan func()
	transfers map[aggregator.Hash]*transfer
	lanes     lanes                                       // of all of them
	early     map[aggregator.Hash]map[peer.ID]partMessage // metadata that came before its parts list

	mu        sync.Mutex
	solicited map[solicitation]bool // what this node asked for: nothing else gets past the event loop
}

type solicitation struct {
	group aggregator.Hash
	part  int
	of    peer.ID
}

type partMessage struct {
	from  peer.ID
	group aggregator.Hash
	meta  []byte
	part  int
	data  []byte
}

// Limits of the extension. Its defaults, 8 groups per peer and 255 per topic, are fewer than the payloads of a few rounds.
const (
	groupsPerPeer  = 128
	groupsPerTopic = 1024
	groupTTL       = 300 // heartbeats, seconds that is
	partsQueue     = 4096
	earlyLimit     = 256 // groups, and peers per group
	maxMeta        = 2 + maxParts/8 + 2*maxWants
	partsTick      = time.Second
)

func newPartsExchange(n *Node) *partsExchange {
	return &partsExchange{
		n: n, in: make(chan partMessage, partsQueue), jobs: make(chan func()),
		transfers: map[aggregator.Hash]*transfer{}, lanes: lanes{}, early: map[aggregator.Hash]map[peer.ID]partMessage{},
		solicited: map[solicitation]bool{},
	}
}

// nothing is the state that the extension keeps per peer and group for us: that it exists.
type nothing struct{}

func (x *partsExchange) option() pubsub.Option {
	return pubsub.WithPartialMessagesExtension(&partialmessages.PartialMessagesExtension[nothing]{
		Logger:                                 slog.New(slog.DiscardHandler),
		OnIncomingRPC:                          x.incoming,
		OnEmitGossip:                           func(string, []byte, []peer.ID, map[peer.ID]nothing) {},
		PeerInitiatedGroupLimitPerTopic:        groupsPerTopic,
		PeerInitiatedGroupLimitPerTopicPerPeer: groupsPerPeer,
		GroupTTLByHeatbeat:                     groupTTL,
	})
}

// incoming runs in gossipsub's event loop: it looks at the form and never waits.
func (x *partsExchange) incoming(from peer.ID, peers map[peer.ID]nothing, rpc *pb.PartialMessagesExtension) error {
	m, err := readPartMessage(from, rpc)
	if err != nil {
		x.n.guard.offence(from, err.Error())
		return nil
	}
	if m.data != nil && !x.answered(m) {
		m.data = nil // too late, or never asked for
	}
	if m.data == nil && m.meta == nil {
		return nil
	}
	peers[from] = nothing{}
	select {
	case x.in <- m:
	default: // told again in a second
	}
	return nil
}

// readPartMessage reads a partial message from hostile bytes: metadata, or a part behind its number, or both.
func readPartMessage(from peer.ID, rpc *pb.PartialMessagesExtension) (m partMessage, err error) {
	if rpc.GetTopicID() != topicParts || len(rpc.GroupID) != len(m.group) {
		return m, malformed("partial message on topic %q, group of %d bytes", rpc.GetTopicID(), len(rpc.GroupID))
	}
	if len(rpc.PartsMetadata) > maxMeta {
		return m, malformed("part metadata of %d bytes", len(rpc.PartsMetadata))
	}
	m = partMessage{from: from, group: aggregator.Hash(rpc.GroupID), meta: rpc.PartsMetadata}
	if b := rpc.PartialMessage; len(b) > 0 {
		if len(b) < 4 || len(b) > 4+partSize || binary.LittleEndian.Uint32(b) >= maxParts {
			return m, malformed("part of %d bytes", len(b))
		}
		m.part, m.data = int(binary.LittleEndian.Uint32(b)), b[4:]
	}
	return m, nil
}

// answered reports whether a part was asked of its sender, and takes the question off the list.
func (x *partsExchange) answered(m partMessage) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := solicitation{m.group, m.part, m.from}
	ok := x.solicited[s]
	delete(x.solicited, s)
	return ok
}

// loop owns the transfers.
func (x *partsExchange) loop() {
	tick := time.NewTicker(partsTick)
	defer tick.Stop()
	defer func() {
		for _, t := range x.transfers {
			t.close()
		}
	}()
	for {
		select {
		case <-x.n.ctx.Done():
			return
		case m := <-x.in:
			x.handle(m)
		case job := <-x.jobs:
			job()
		case now := <-tick.C:
			x.tick(now)
		}
	}
}

// do runs a job in the loop, later.
func (x *partsExchange) do(job func()) {
	select {
	case x.jobs <- job:
	case <-x.n.ctx.Done():
	}
}

// pull starts the exchange of a payload: a source of it if it is here, a receiver otherwise. Again is harmless.
func (x *partsExchange) pull(w *want, l *partsList) {
	x.do(func() {
		group := w.id
		if x.transfers[group] != nil {
			return
		}
		t, err := newTransfer(w, l, x.lanes)
		if err != nil {
			x.n.spoiled(w, err)
			return
		}
		w.progress.Add(1)
		x.transfers[group] = t
		early := x.early[group]
		delete(x.early, group)
		x.tell(t)
		for _, m := range early {
			x.handle(m)
		}
	})
}

// drop ends the exchange of payloads that nobody needs any more.
func (x *partsExchange) drop(ws []*want) {
	if len(ws) == 0 {
		return
	}
	x.n.spawn(func() {
		x.do(func() {
			for _, w := range ws {
				x.forget(w.id)
			}
		})
	})
}

func (x *partsExchange) forget(group aggregator.Hash) {
	if t := x.transfers[group]; t != nil {
		t.close()
		delete(x.transfers, group)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for s := range x.solicited {
		if s.group == group {
			delete(x.solicited, s)
		}
	}
}

// tick repeats what may have got lost: who has what, and requests that were not answered. The extension forgets groups
// without peers at every heartbeat, ours too: telling again also brings back the peers of the mesh.
func (x *partsExchange) tick(now time.Time) {
	clear(x.early) // told again, too
	peers, tip, holders := len(x.n.gossip.partial.ListPeers()), x.n.ledger.tip(), map[peer.ID]bool{}
	for group, t := range x.transfers {
		if t.missing > 0 && t.w.isHere() { // a stream was faster
			t.close()
			if err := t.complete(); err != nil {
				x.n.spoiled(t.w, err)
				x.forget(group)
				continue
			}
		}
		if t.missing == 0 && tip != nil && t.w.seq+horizon < tip.Seq {
			x.forget(group) // who lags that far behind uses streams
			continue
		}
		t.expire(now, x.n.pace.request, x.connected)
		for p := range t.holders {
			holders[p] = true
		}
		if !t.needless(peers) {
			x.tell(t)
		}
	}
	for p := range holders {
		x.request(p)
	}
	maps.DeleteFunc(x.lanes, func(p peer.ID, l *lane) bool { return l.open == 0 && !x.connected(p) })
}

func (x *partsExchange) connected(p peer.ID) bool {
	return x.n.host.Network().Connectedness(p) == network.Connected
}

func (x *partsExchange) handle(m partMessage) {
	t := x.transfers[m.group]
	if t == nil {
		x.keep(m)
		return
	}
	if m.data != nil && m.part < len(t.list.hashes) {
		x.receive(t, m)
	}
	if m.meta != nil {
		x.answer(t, m)
	}
	x.request(m.from)
}

// keep puts metadata aside whose parts list is still on its way.
func (x *partsExchange) keep(m partMessage) {
	peers := x.early[m.group]
	if m.meta == nil || peers == nil && len(x.early) >= earlyLimit || len(peers) >= earlyLimit {
		return
	}
	if peers == nil {
		peers = map[peer.ID]partMessage{}
		x.early[m.group] = peers
	}
	m.data = nil
	peers[m.from] = m
}

func (x *partsExchange) receive(t *transfer, m partMessage) {
	fresh, err := t.put(m.from, m.part, m.data, time.Now())
	switch {
	case errors.Is(err, aggregator.ErrMalformed):
		x.n.guard.offence(m.from, err.Error())
	case err != nil:
		x.n.broken(err)
	}
	if !fresh {
		return
	}
	if t.missing == 0 {
		x.finish(t)
	}
	if n := len(t.list.hashes); t.missing%((n+7)/8) == 0 {
		x.tell(t)
	}
}

func (x *partsExchange) finish(t *transfer) {
	err := t.finish(x.n.depot)
	if err == nil {
		return
	}
	if !errors.Is(err, aggregator.ErrMalformed) {
		x.n.spoiled(t.w, err)
	} else if author, e := netID(t.w.header.Worker); e == nil {
		x.n.guard.offence(author, err.Error())
	}
	x.forget(t.w.id)
}

// answer notes what a peer has and sends the parts that it wants.
func (x *partsExchange) answer(t *transfer, m partMessage) {
	have, wants, err := decodeMeta(len(t.list.hashes), m.meta)
	if err != nil {
		x.n.guard.offence(m.from, err.Error())
		return
	}
	t.hear(m.from, have)
	for _, i := range wants {
		if !t.have.has(i) {
			continue
		}
		part, err := t.get(i)
		if err != nil {
			x.n.note("reading a part", err)
			continue
		}
		x.send(t, m.from, partialmessages.PublishAction{
			EncodedPartialMessage: append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(part)), uint32(i)), part...),
		})
	}
}

// request asks a peer for parts that it has and we lack, as many as may be asked of it now.
func (x *partsExchange) request(p peer.ID) {
	wants := map[*transfer][]int{}
	for x.lanes.to(p).free() {
		var next *transfer
		var part int
		for _, t := range x.transfers { // in any order: it decides ties
			if i, ok := t.rarest(p, x.n.host.ID()); ok && (next == nil || t.sooner(i, next, part)) {
				next, part = t, i
			}
		}
		if next == nil {
			break
		}
		next.ask(part, p, time.Now())
		wants[next] = append(wants[next], part)
	}
	for t, parts := range wants {
		x.mu.Lock()
		for _, i := range parts {
			x.solicited[solicitation{t.w.id, i, p}] = true
		}
		x.mu.Unlock()
		x.send(t, p, partialmessages.PublishAction{EncodedPartsMetadata: encodeMeta(len(t.list.hashes), t.have, parts)})
	}
}

// send says one thing to one peer.
func (x *partsExchange) send(t *transfer, p peer.ID, a partialmessages.PublishAction) {
	x.publish(t, func(map[peer.ID]nothing) iter.Seq2[peer.ID, partialmessages.PublishAction] {
		return func(yield func(peer.ID, partialmessages.PublishAction) bool) { yield(p, a) }
	})
}

// tell says to every peer of the mesh, and to whoever spoke of this payload, which parts are here.
func (x *partsExchange) tell(t *transfer) {
	a := partialmessages.PublishAction{EncodedPartsMetadata: encodeMeta(len(t.list.hashes), t.have, nil)}
	x.publish(t, func(peers map[peer.ID]nothing) iter.Seq2[peer.ID, partialmessages.PublishAction] {
		return func(yield func(peer.ID, partialmessages.PublishAction) bool) {
			for p := range peers {
				if !yield(p, a) {
					return
				}
			}
		}
	})
}

func (x *partsExchange) publish(t *transfer, actions func(map[peer.ID]nothing) iter.Seq2[peer.ID, partialmessages.PublishAction]) {
	err := pubsub.PublishPartial(x.pubsub, topicParts, t.w.id[:],
		func(peers map[peer.ID]nothing, _ func(peer.ID) bool) iter.Seq2[peer.ID, partialmessages.PublishAction] {
			return actions(peers)
		})
	x.n.note("sending parts", err)
}
