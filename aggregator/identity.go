// Package aggregator is the outer loop: when a worker speaks, what it says, who is counted, and what everybody does
// with the answer. A run is a totally ordered log of certified rounds, and the shared state is the fold of that log over
// the first state; Worker is that fold. The package decides and never acts: it imports no network, no disk, no clock and
// no graph. Those come in through the ports Replica, Exchange and Log.
package aggregator

import (
	"crypto/ed25519"
	"encoding/hex"
)

// Hash is a SHA-256.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Short is the first eight hex digits, for people.
func (h Hash) Short() string { return hex.EncodeToString(h[:4]) }

// PeerID is a peer's Ed25519 public key: what it signs can be checked with nothing else.
type PeerID [32]byte

func (p PeerID) String() string { return hex.EncodeToString(p[:4]) }

// Seq counts certified rounds from 1; 0 is the genesis.
type Seq uint64

// Slot is a worker's number in the run. The log gives it at the first admission and never gives it to another peer.
// Sums and assignments go by slot, not by key, so that a run can be repeated bit by bit with fresh keys.
type Slot uint32

// Millis is a monotonic duration in milliseconds, measured by whoever drives a state machine.
type Millis uint64

// Signature is an Ed25519 signature.
type Signature [64]byte

// Signer signs for one peer.
type Signer struct {
	ID  PeerID
	key ed25519.PrivateKey
}

// NewSigner makes a Signer from a 32-byte Ed25519 seed.
func NewSigner(seed [32]byte) Signer {
	key := ed25519.NewKeyFromSeed(seed[:])
	return Signer{ID: PeerID(key.Public().(ed25519.PublicKey)), key: key}
}

// Sign signs domain ‖ message. The domain keeps a signature of one kind from being passed off as another.
func (s Signer) Sign(domain string, message []byte) Signature {
	return Signature(ed25519.Sign(s.key, append([]byte(domain), message...)))
}

// Verify reports whether sig is p's signature of domain ‖ message.
func (p PeerID) Verify(domain string, message []byte, sig Signature) bool {
	return ed25519.Verify(p[:], append([]byte(domain), message...), sig[:])
}
