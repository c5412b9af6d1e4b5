package swarm

import (
	"log/slog"
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/skein-train/skein/aggregator"
)

// offences is how many invalid things a peer may send before it is shown the door. An honest peer sends none: it checks
// before it forwards. The few in hand are for bytes that a broken disk or memory turns.
const offences = 8

// guard keeps the book of peers that send invalid things, and keeps rejected ones out. It is the host's connection gater.
type guard struct {
	log        *slog.Logger
	self       aggregator.PeerID
	disconnect func(peer.ID)

	mu       sync.Mutex
	counts   map[peer.ID]int
	strange  map[peer.ID]bool // of another run; told once
	rejected map[peer.ID]bool
	err      error // why the node abstains
}

func newGuard(log *slog.Logger, self aggregator.PeerID) *guard {
	return &guard{log: log, self: self, counts: map[peer.ID]int{}, strange: map[peer.ID]bool{}, rejected: map[peer.ID]bool{}}
}

// offence notes that a peer sent something that no honest peer sends.
func (g *guard) offence(p peer.ID, why string) {
	g.mu.Lock()
	g.counts[p]++
	n := g.counts[p]
	if n >= offences {
		g.rejected[p] = true
	}
	g.mu.Unlock()
	if n == offences {
		g.log.Warn("peer rejected: it keeps sending invalid messages", "peer", p, "last", why)
		go g.disconnect(p) // closing waits for the peer's streams, and the caller may be one of them
	}
}

// otherRun notes that a peer talks about another run.
func (g *guard) otherRun(p peer.ID) {
	g.mu.Lock()
	known := g.strange[p]
	g.strange[p] = true
	g.mu.Unlock()
	if !known {
		g.log.Warn("ignoring a peer's messages about another run: check the address that one of you joined", "peer", p)
	}
}

// fail records the first error after which the node must abstain.
func (g *guard) fail(err error) {
	g.mu.Lock()
	first := g.err == nil
	if first {
		g.err = err
	}
	g.mu.Unlock()
	if first {
		g.log.Error("the node abstains: mend its disk and start it again", "err", err)
	}
}

func (g *guard) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *guard) welcome(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.rejected[p]
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *guard) InterceptPeerDial(p peer.ID) bool { return g.welcome(p) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *guard) InterceptAddrDial(peer.ID, multiaddr.Multiaddr) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater.
func (g *guard) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (g *guard) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.welcome(p)
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g *guard) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
