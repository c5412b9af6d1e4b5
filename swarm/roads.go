package swarm

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/skein-train/skein/aggregator"
)

// roads keeps the node connected: it remembers whom it was told to know, dials them again when they are gone, and heals
// one-way deafness: after a stream reset gossipsub does not tell its subscriptions again, and hears nothing any more.
type roads struct {
	n *Node

	mu    sync.Mutex
	known map[peer.ID]*known
	deaf  map[peer.ID]time.Time // connected, but not in gossipsub's list since then
}

type known struct {
	peer.AddrInfo
	told  []multiaddr.Multiaddr // what others say of where it is; the next one who says something overwrites it
	given bool                  // by the user: kept for good
	wait  time.Duration         // before the next attempt; doubles with every failure
	after time.Time
}

// where is where to dial a known peer.
func (k *known) where() peer.AddrInfo {
	return peer.AddrInfo{ID: k.ID, Addrs: append(slices.Clone(k.Addrs), k.told...)}
}

const (
	maxKnown    = 2 * maxPeers // peers; nobody beyond them is introduced
	firstRedial = time.Second
	lastRedial  = 30 * time.Second
)

func newRoads(n *Node) *roads {
	return &roads{n: n, known: map[peer.ID]*known{}, deaf: map[peer.ID]time.Time{}}
}

// Connect dials peers by their multiaddrs, identity included, and keeps dialling those that are away from then on. If none
// of them can be reached, any peer of the node's earlier lives will do; it returns an error, a Trouble, only if there is none.
func (n *Node) Connect(ctx context.Context, addrs []string) error {
	infos, err := addrInfos(addrs)
	if err != nil {
		return err
	}
	var errs []error
	reached := len(infos) == 0
	for _, info := range infos {
		if info.ID == n.host.ID() {
			continue
		}
		n.roads.know(info)
		if err := n.host.Connect(ctx, info); err != nil {
			errs = append(errs, diagnose(info, err))
			continue
		}
		reached = true
		n.ask(info.ID)
	}
	if reached || len(errs) > 0 && n.roads.any(ctx) {
		n.note("connecting", errors.Join(errs...))
		return nil
	}
	return errors.Join(errs...)
}

// know keeps a peer that the user names.
func (r *roads) know(info peer.AddrInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[info.ID] = &known{AddrInfo: info, given: true}
}

// introduce keeps a peer that another one speaks of.
func (r *roads) introduce(id aggregator.PeerID, addrs []multiaddr.Multiaddr) {
	p, err := netID(id)
	if err != nil || len(addrs) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.known[p]
	if k == nil && len(r.known) < maxKnown {
		k = &known{AddrInfo: peer.AddrInfo{ID: p}}
		r.known[p] = k
	}
	if k != nil {
		k.told = addrs
	}
}

// forget drops who is neither a member any more, nor connected, nor named by the user.
func (r *roads) forget(members map[aggregator.PeerID]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.known, func(p peer.ID, k *known) bool {
		id, err := peerID(p)
		return !k.given && (err != nil || !members[id]) && !r.connected(p)
	})
}

// contacts are the peers to look for in the next life: those of now first.
func (r *roads) contacts(members map[aggregator.PeerID]bool) []contact {
	out := r.n.contacts(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, k := range r.known {
		id, err := peerID(p)
		known := slices.ContainsFunc(out, func(c contact) bool { return c.id == id })
		addrs := dialable(k.where().Addrs, true)
		if err == nil && !known && len(addrs) > 0 && len(out) < maxPeers && (k.given || members[id]) {
			out = append(out, contact{id, addrs})
		}
	}
	return out
}

// any dials all known peers at once and reports whether one of them is there.
func (r *roads) any(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	var infos []peer.AddrInfo
	for _, k := range r.known {
		infos = append(infos, k.where())
	}
	r.mu.Unlock()
	there := make(chan bool, len(infos))
	for _, info := range infos {
		go func() { there <- r.n.host.Connect(ctx, info) == nil }()
	}
	for range infos {
		if <-there {
			return true
		}
	}
	return false
}

// reach tries for a moment to connect to a worker, if need be where the committee says that it is.
func (r *roads) reach(ctx context.Context, id aggregator.PeerID) {
	p, err := netID(id)
	if err != nil || r.connected(p) || !r.n.guard.welcome(p) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.n.pace.patience)
	defer cancel()
	for _, m := range r.n.Run.Committee {
		if q, err := netID(m); err == nil && m != r.n.signer.ID && r.connected(q) {
			if err := r.n.introduction(q, protocolPeer, id[:]); err != nil {
				r.n.Log.Debug("asking for a peer", "peer", p, "of", q, "err", err)
			}
		}
	}
	r.mu.Lock()
	info := peer.AddrInfo{ID: p}
	if k := r.known[p]; k != nil {
		info = k.where()
	}
	r.mu.Unlock()
	_ = r.n.host.Connect(ctx, info) // else the committee passes it on
}

func (r *roads) connected(p peer.ID) bool {
	return r.n.host.Network().Connectedness(p) == network.Connected
}

// addrInfos reads multiaddrs that end in /p2p/….
func addrInfos(addrs []string) ([]peer.AddrInfo, error) {
	var all []multiaddr.Multiaddr
	for _, a := range addrs {
		m, err := multiaddr.NewMultiaddr(a)
		if err != nil {
			return nil, troubled(ErrAddress, err, "%.200q is no address: it looks like /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…, copy it whole from what skein run prints", a)
		}
		if info, err := peer.AddrInfoFromP2pAddr(m); err != nil || len(info.Addrs) == 0 {
			return nil, troubled(ErrAddress, err, "%.200q is no address of a peer: it must start with where the peer is and end in /p2p/ and its identity, copy it whole from what skein run prints", a)
		}
		all = append(all, m)
	}
	return peer.AddrInfosFromP2pAddrs(all...)
}

// watch looks after the connections a few times per second-long patience.
func (r *roads) watch() {
	tick := time.NewTicker(r.n.pace.deaf / 5)
	defer tick.Stop()
	for {
		select {
		case <-r.n.ctx.Done():
			return
		case now := <-tick.C:
			r.heal(now)
			r.redial(now)
		}
	}
}

// heal closes connections on which gossipsub is deaf. Known peers are dialled again by redial, others by themselves.
func (r *roads) heal(now time.Time) {
	hears := map[peer.ID]bool{}
	for _, p := range r.n.gossip.log.ListPeers() {
		hears[p] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	still := map[peer.ID]time.Time{}
	for _, p := range r.n.host.Network().Peers() {
		since, was := r.deaf[p]
		switch {
		case hears[p] || !r.gossips(p):
		case !was:
			still[p] = now
		case now.Sub(since) < r.n.pace.deaf:
			still[p] = since
		default:
			r.n.Log.Info("connecting again: the peer does not hear our messages", "peer", p)
			_ = r.n.host.Network().ClosePeer(p)
			if r.known[p] == nil && len(r.known) < maxKnown {
				r.known[p] = &known{AddrInfo: peer.AddrInfo{ID: p, Addrs: r.n.host.Peerstore().Addrs(p)}}
			}
		}
	}
	r.deaf = still
}

// gossips reports whether a peer speaks gossipsub at all: who came for blocks, say, does not.
func (r *roads) gossips(p peer.ID) bool {
	spoken, err := r.n.host.Peerstore().SupportsProtocols(p, pubsub.GossipSubDefaultProtocols...)
	return err == nil && len(spoken) > 0
}

// redial dials known peers that are away.
func (r *roads) redial(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, k := range r.known {
		if r.connected(id) {
			k.wait = 0
			continue
		}
		if now.Before(k.after) || !r.n.guard.welcome(id) {
			continue
		}
		k.wait = min(max(firstRedial, 2*k.wait), lastRedial)
		k.after = now.Add(k.wait)
		info := k.where()
		r.n.spawn(func() {
			ctx, cancel := context.WithTimeout(r.n.ctx, lastRedial)
			defer cancel()
			_ = r.n.host.Connect(ctx, info) // a failure is tried again
		})
	}
}
