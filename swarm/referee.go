package swarm

import (
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// referee reports to the guard what gossipsub and the validators reject. The peer that sent it to us is to blame, not the
// author: it should have checked.
type referee struct{ guard *guard }

// RejectMessage implements pubsub.RawTracer.
func (r *referee) RejectMessage(m *pubsub.Message, reason string) {
	switch reason {
	case pubsub.RejectValidationFailed, pubsub.RejectInvalidSignature, pubsub.RejectMissingSignature:
		r.guard.offence(m.ReceivedFrom, reason)
	}
}

// The rest of pubsub.RawTracer is of no interest.

func (r *referee) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (r *referee) OnClosedOutboundStream(peer.ID)           {}
func (r *referee) Join(string)                              {}
func (r *referee) Leave(string)                             {}
func (r *referee) Graft(peer.ID, string)                    {}
func (r *referee) Prune(peer.ID, string)                    {}
func (r *referee) ValidateMessage(*pubsub.Message)          {}
func (r *referee) DeliverMessage(*pubsub.Message)           {}
func (r *referee) DuplicateMessage(*pubsub.Message)         {}
func (r *referee) ThrottlePeer(peer.ID)                     {}
func (r *referee) RecvRPC(*pubsub.RPC)                      {}
func (r *referee) SendRPC(*pubsub.RPC, peer.ID)             {}
func (r *referee) DropRPC(*pubsub.RPC, peer.ID)             {}
func (r *referee) UndeliverableMessage(*pubsub.Message)     {}
