package swarm

import (
	"context"
	"errors"
	"log/slog"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// One topic per purpose, so that a flood of payloads does not stand before a certificate.
const (
	topicLog      = "skein/1/log"      // certificates and notices
	topicHeaders  = "skein/1/headers"  // signed headers
	topicPayloads = "skein/1/payloads" // small payloads, and the parts lists of large ones
	topicParts    = "skein/1/parts"    // partial messages only: gossipsub sends no whole ones to who asks for parts
)

// gossip is the node's gossipsub: everything small, flooded along meshes.
type gossip struct {
	n                               *Node
	pubsub                          *pubsub.PubSub
	log, headers, payloads, partial *pubsub.Topic
	replays                         replays
}

// Limits of gossipsub. Its defaults drop in silence what we send: messages beyond 1 MiB, the 33rd in a peer's queue.
const (
	outboundQueue = 1024 // messages per peer
	inboundQueue  = 1024 // messages before validation, and per subscription
)

func newGossip(n *Node) (*gossip, error) {
	params := pubsub.DefaultGossipSubParams()
	params.D, params.Dlo, params.Dhi, params.Dout, params.Dscore = 4, 3, 8, 1, 2 // a small swarm: few copies, still connected
	ps, err := pubsub.NewGossipSub(n.ctx, n.host,
		pubsub.WithGossipSubParams(params),
		pubsub.WithFloodPublish(true), // own messages go to every peer at once: a round is as fast as its slowest hop
		pubsub.WithMaxMessageSize(maxMessageSize+4096),
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithValidateQueueSize(inboundQueue),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign),
		pubsub.WithRawTracer(&referee{guard: n.guard}),
		pubsub.WithLogger(slog.New(slog.DiscardHandler)),
		n.parts.option(),
	)
	if err != nil {
		return nil, err
	}
	g := &gossip{n: n, pubsub: ps}
	n.parts.pubsub = ps
	for name, topic := range map[string]**pubsub.Topic{topicLog: &g.log, topicHeaders: &g.headers, topicPayloads: &g.payloads} {
		if *topic, err = g.join(name); err != nil {
			return nil, err
		}
	}
	g.partial, err = g.join(topicParts, pubsub.RequestPartialMessages())
	return g, err
}

func (g *gossip) join(name string, opts ...pubsub.TopicOpt) (*pubsub.Topic, error) {
	if err := g.pubsub.RegisterTopicValidator(name, g.validate); err != nil {
		return nil, err
	}
	topic, err := g.pubsub.Join(name, opts...)
	if err != nil {
		return nil, err
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(inboundQueue))
	if err != nil {
		return nil, err
	}
	g.n.spawn(func() { g.receive(sub) })
	return topic, nil
}

// receive handles what the validator let through, in the order of its arrival.
func (g *gossip) receive(sub *pubsub.Subscription) {
	defer sub.Cancel()
	for {
		m, err := sub.Next(g.n.ctx)
		if err != nil {
			return
		}
		if d, ok := m.ValidatorData.(delivery); ok {
			d()
		}
	}
}

// publish sends a message to everybody. A lost one is repeated by whoever needs an answer to it.
func (g *gossip) publish(topic *pubsub.Topic, k kind, body ...[]byte) {
	err := topic.Publish(g.n.ctx, seal(k, g.n.run, body...))
	var refused pubsub.ValidationError
	if !errors.As(err, &refused) { // refused: the round was closed in the meantime
		g.n.note("publishing", err, "topic", topic.String())
	}
}

// validate decides about every message before it is delivered or forwarded: accept what is valid and current, reject what
// no honest peer sends, ignore the rest.
func (g *gossip) validate(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	author := m.GetFrom()
	if author == g.n.host.ID() {
		return pubsub.ValidationAccept
	}
	if !g.replays.fresh(author, m.GetSeqno()) {
		return pubsub.ValidationIgnore
	}
	d, err := g.n.judge(author, from, m.GetTopic(), m.GetData())
	switch {
	case errors.Is(err, errOtherRun):
		g.n.guard.otherRun(author)
		return pubsub.ValidationIgnore
	case errors.Is(err, errNotNow):
		return pubsub.ValidationIgnore
	case err != nil:
		return pubsub.ValidationReject
	}
	m.ValidatorData = d
	return pubsub.ValidationAccept
}
