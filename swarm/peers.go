package swarm

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/internal/durable"
)

const (
	// protocolPeers tells where others are: run → the members that the answering node is connected to.
	protocolPeers protocol.ID = "/skein/peers/1"
	// protocolPeer tells where one of them is: run ‖ peer → that one, or nobody.
	protocolPeer protocol.ID = "/skein/peer/1"
)

const (
	maxPeers    = 64  // peers in an answer, and in the file
	maxAddrs    = 8   // addresses of a peer
	maxAddrSize = 128 // bytes of an address

	maxPeersSize = 2 + maxPeers*(32+1+maxAddrs*(1+maxAddrSize))

	mingleWith = 3 // peers asked at a time
)

// contact is a peer and where it can be dialled.
type contact struct {
	id    aggregator.PeerID
	addrs []multiaddr.Multiaddr
}

// encodeContacts returns the number of contacts and for each its key, the number of its addresses, and each of them
// behind its length.
func encodeContacts(cs []contact) []byte {
	out := binary.LittleEndian.AppendUint16(nil, uint16(len(cs)))
	for _, c := range cs {
		out = append(append(out, c.id[:]...), byte(len(c.addrs)))
		for _, a := range c.addrs {
			out = append(append(out, byte(len(a.Bytes()))), a.Bytes()...)
		}
	}
	return out
}

// decodeContacts reads contacts from hostile bytes.
func decodeContacts(b []byte) ([]contact, error) {
	r := bytes.NewReader(b)
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, malformed("contacts of %d bytes", len(b))
	}
	n := binary.LittleEndian.Uint16(head[:])
	if n > maxPeers {
		return nil, malformed("%d contacts, at most %d allowed", n, maxPeers)
	}
	out := make([]contact, n)
	for i := range out {
		if err := out[i].read(r); err != nil {
			return nil, err
		}
	}
	if r.Len() > 0 {
		return nil, malformed("%d bytes behind the contacts", r.Len())
	}
	return out, nil
}

func (c *contact) read(r *bytes.Reader) error {
	if _, err := io.ReadFull(r, c.id[:]); err != nil {
		return malformed("contact cut short")
	}
	n, err := r.ReadByte()
	if err != nil || n > maxAddrs {
		return malformed("contact with %d addresses", n)
	}
	for range n {
		size, err := r.ReadByte()
		if err != nil || size > maxAddrSize || int(size) > r.Len() {
			return malformed("address of %d bytes", size)
		}
		b := make([]byte, size)
		_, _ = io.ReadFull(r, b)
		a, err := multiaddr.NewMultiaddrBytes(b)
		if err != nil {
			return malformed("address: %v", err)
		}
		c.addrs = append(c.addrs, a)
	}
	return nil
}

// dialable keeps the addresses that a peer's word is good for: numbers, not names that would have to be looked up, TCP or
// QUIC without relays, and the loopback only among those who share it.
func dialable(addrs []multiaddr.Multiaddr, near bool) (out []multiaddr.Multiaddr) {
	for _, a := range addrs {
		if len(out) == maxAddrs {
			break
		}
		if len(a.Bytes()) > maxAddrSize || !near && manet.IsIPLoopback(a) || manet.IsIPUnspecified(a) {
			continue
		}
		ps := a.Protocols()
		ip := len(ps) > 0 && (ps[0].Code == multiaddr.P_IP4 || ps[0].Code == multiaddr.P_IP6)
		tcp := len(ps) == 2 && ps[1].Code == multiaddr.P_TCP
		quic := len(ps) == 3 && ps[1].Code == multiaddr.P_UDP && ps[2].Code == multiaddr.P_QUIC_V1
		if ip && (tcp || quic) {
			out = append(out, a)
		}
	}
	return out
}

func (n *Node) servePeers(s network.Stream) error {
	if _, err := n.request(s, 32); err != nil {
		return err
	}
	_, err := lively{s}.Write(encodeContacts(n.contacts(manet.IsIPLoopback(s.Conn().RemoteMultiaddr()))))
	return err
}

func (n *Node) servePeer(s network.Stream) error {
	b, err := n.request(s, 32+32)
	if err != nil {
		return err
	}
	var one []contact
	if p, err := netID(aggregator.PeerID(b)); err == nil && n.roads.connected(p) {
		one = n.contactsAmong([]peer.ID{p}, manet.IsIPLoopback(s.Conn().RemoteMultiaddr()))
	}
	_, err = lively{s}.Write(encodeContacts(one))
	return err
}

// contacts are members that the node is connected to, in any order.
func (n *Node) contacts(near bool) []contact {
	peers := n.host.Network().Peers()
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	return n.contactsAmong(peers, near)
}

// contactsAmong are the members among some connected peers, with their addresses.
func (n *Node) contactsAmong(peers []peer.ID, near bool) (out []contact) {
	members := n.ledger.members()
	for _, p := range peers {
		id, err := peerID(p)
		if err != nil || !members[id] || len(out) == maxPeers {
			continue
		}
		if addrs := dialable(n.whereabouts(p), near); len(addrs) > 0 {
			out = append(out, contact{id, addrs})
		}
	}
	return out
}

// whereabouts are a connected peer's addresses: the one that was dialled, then those that it gives itself.
func (n *Node) whereabouts(p peer.ID) (out []multiaddr.Multiaddr) {
	for _, c := range n.host.Network().ConnsToPeer(p) {
		if c.Stat().Direction == network.DirOutbound {
			out = append(out, c.RemoteMultiaddr())
		}
	}
	for _, a := range n.host.Peerstore().Addrs(p) {
		if !slices.ContainsFunc(out, a.Equal) {
			out = append(out, a)
		}
	}
	return out
}

// mingle asks connected peers now and then whom they know, soon after the start and ever more rarely later, and keeps
// the addresses for the next life.
func (n *Node) mingle() {
	wait := min(time.Second, n.pace.mingle)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var kept []byte
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-timer.C:
		}
		peers := n.host.Network().Peers()
		rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		for _, p := range peers[:min(len(peers), mingleWith)] {
			if err := n.introductions(p); err != nil {
				n.Log.Debug("asking for peers", "peer", p, "err", err) // somebody else will do
			}
		}
		members := n.ledger.members()
		n.roads.forget(members)
		kept = n.keepContacts(n.roads.contacts(members), kept)
		wait = min(2*wait, n.pace.mingle)
		timer.Reset(wait)
	}
}

// introductions asks one peer whom it knows.
func (n *Node) introductions(p peer.ID) error { return n.introduction(p, protocolPeers, nil) }

// introduction puts a question about peers to one.
func (n *Node) introduction(p peer.ID, id protocol.ID, question []byte) error {
	r, finish, err := n.open(n.ctx, p, id, question)
	if err != nil {
		return err
	}
	defer finish()
	b, err := io.ReadAll(io.LimitReader(r, maxPeersSize+1))
	if err != nil {
		return err
	}
	cs, err := decodeContacts(b)
	if err != nil {
		return n.blame(p, err)
	}
	members, near := n.ledger.members(), n.near(p)
	for _, c := range cs {
		if members[c.id] && c.id != n.signer.ID {
			n.roads.introduce(c.id, dialable(c.addrs, near))
		}
	}
	return nil
}

// near reports whether a peer is on this machine.
func (n *Node) near(p peer.ID) bool {
	return slices.ContainsFunc(n.host.Network().ConnsToPeer(p), func(c network.Conn) bool {
		return manet.IsIPLoopback(c.RemoteMultiaddr())
	})
}

func (n *Node) contactsPath() string { return filepath.Join(n.Dir, "peers") }

// keepContacts writes the contacts to the node's directory, if they are not what was kept before.
func (n *Node) keepContacts(cs []contact, before []byte) []byte {
	slices.SortFunc(cs, func(a, b contact) int { return cmp.Compare(string(a.id[:]), string(b.id[:])) })
	b := encodeContacts(cs)
	if len(cs) == 0 || bytes.Equal(b, before) {
		return before
	}
	if err := durable.WriteFile(n.contactsPath(), 0o600, durable.Crash, b); err != nil {
		n.note("keeping the peers' addresses", err) // only convenience is lost
		return before
	}
	return b
}

// loadContacts introduces the peers of an earlier life. A damaged file is none.
func (n *Node) loadContacts() {
	f, err := os.Open(n.contactsPath())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var b []byte
	if err == nil {
		defer f.Close()
		b, err = io.ReadAll(io.LimitReader(f, maxPeersSize+1))
	}
	var cs []contact
	if err == nil {
		cs, err = decodeContacts(b)
	}
	n.note("reading the peers' addresses", err)
	for _, c := range cs {
		if c.id != n.signer.ID {
			n.roads.introduce(c.id, dialable(c.addrs, true))
		}
	}
}
