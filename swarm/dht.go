package swarm

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"google.golang.org/protobuf/proto"
)

// protocolDHT is the distributed hash table of the public IPFS network (https://specs.ipfs.tech/routing/kad-dht/). We are
// its client only: nobody is answered, and nothing is kept or goes on between two calls.
const protocolDHT protocol.ID = "/ipfs/kad/1.0.0"

const (
	dhtWidth    = 20               // peers that keep a record: those closest to its key
	dhtAtOnce   = 10               // questions under way
	dhtMost     = 200              // peers asked in one walk at most
	dhtReply    = 1 << 20          // bytes of an answer
	dhtPatience = 10 * time.Second // for one peer
	dhtEnough   = 4                // peers that have what is looked for
)

// PublicDHT lists peers that introduce others to the public network's hash table.
func PublicDHT() []string {
	return []string{
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
		"/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
		"/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
	}
}

// Provide tells a hash table that this node has the block of that SHA-256 hash, and returns how many peers have been told:
// those closest to it keep the record for two days. introducers are multiaddrs of peers of the table. Peers that were
// dialled for it are hung up on. Error if nobody could be told.
func (n *Node) Provide(ctx context.Context, hash [32]byte, introducers []string) (told int, err error) {
	w, err := newWalk(ctx, n.host, hash, introducers)
	if err != nil {
		return 0, err
	}
	defer w.hangUp()
	w.run(ctx, dht.Message_FIND_NODE)
	self := w.dialable(n.host.Addrs())
	if len(self) == 0 {
		return 0, errors.New("swarm: nobody on the internet can dial this machine: open a port for swarm.listen on the router")
	}
	record := dht.NewMessage(dht.Message_ADD_PROVIDER, w.key, 0)
	record.ProviderPeers = dht.RawPeerInfosToPBPeers([]peer.AddrInfo{{ID: n.host.ID(), Addrs: self}})
	for _, ok := range each(w.closest(), func(s *stop) bool { _, err := w.send(ctx, s, record); return err == nil }) {
		if ok {
			told++
		}
	}
	if told == 0 {
		return 0, cmp.Or(ctx.Err(), errors.New("swarm: no peer of the hash table has answered"))
	}
	return told, nil
}

// Find looks up who has the block of that SHA-256 hash and connects to a few of them. Error if there is nobody.
func (b *BareHost) Find(ctx context.Context, hash [32]byte, introducers []string) error {
	w, err := newWalk(ctx, b.host, hash, introducers)
	if err != nil {
		return err
	}
	defer w.hangUp()
	w.run(ctx, dht.Message_GET_PROVIDERS)
	reached := each(w.providers, func(p peer.AddrInfo) bool {
		ctx, cancel := context.WithTimeout(ctx, dhtPatience)
		defer cancel()
		return b.host.Connect(ctx, p) == nil
	})
	for i, p := range w.providers {
		w.before[p.ID] = reached[i]
	}
	if !slices.Contains(reached, true) {
		return cmp.Or(ctx.Err(), fmt.Errorf("swarm: %d peers of the hash table have been asked, and nobody who can be reached has it", w.asked))
	}
	return nil
}

// walk goes towards a key: it asks the closest peers that it knows for closer ones, until the closest have all answered
// (Maymounkov and Mazières, Kademlia, 2002).
type walk struct {
	host   host.Host
	key    []byte           // SHA-256 multihash
	place  [32]byte         // of the key among the peers
	before map[peer.ID]bool // who was connected already, or is to stay so
	near   bool             // an introducer is on this machine: its addresses count, too

	stops     []*stop // by distance to the key
	asked     int
	providers []peer.AddrInfo
}

// stop is a peer on the way.
type stop struct {
	peer.AddrInfo
	distance [32]byte
	asked    bool
	silent   bool
}

// newWalk begins at the introducers that can be reached.
func newWalk(ctx context.Context, h host.Host, hash [32]byte, introducers []string) (*walk, error) {
	infos, err := addrInfos(introducers)
	if err != nil {
		return nil, err
	}
	w := &walk{host: h, key: append([]byte{0x12, 32}, hash[:]...), before: map[peer.ID]bool{}}
	w.place = sha256.Sum256(w.key)
	for _, p := range h.Network().Peers() {
		w.before[p] = true
	}
	for _, info := range infos {
		w.near = w.near || slices.ContainsFunc(info.Addrs, manet.IsIPLoopback)
		w.meet(info)
	}
	return w, nil
}

// meet puts a peer on the way, once.
func (w *walk) meet(info peer.AddrInfo) {
	if info.ID == w.host.ID() || slices.ContainsFunc(w.stops, func(s *stop) bool { return s.ID == info.ID }) {
		return
	}
	s := &stop{AddrInfo: info, distance: sha256.Sum256([]byte(info.ID))}
	for i := range s.distance {
		s.distance[i] ^= w.place[i]
	}
	at, _ := slices.BinarySearchFunc(w.stops, s, func(a, b *stop) int { return bytes.Compare(a.distance[:], b.distance[:]) })
	w.stops = slices.Insert(w.stops, at, s)
}

// closest are the peers nearest to the key of those that are not known to be silent.
func (w *walk) closest() (out []*stop) {
	for _, s := range w.stops {
		if !s.silent && len(out) < dhtWidth {
			out = append(out, s)
		}
	}
	return out
}

// run asks until the closest peers have answered, or enough providers are known.
func (w *walk) run(ctx context.Context, question dht.Message_MessageType) {
	for ctx.Err() == nil && w.asked < dhtMost && len(w.providers) < dhtEnough {
		next := slices.DeleteFunc(w.closest(), func(s *stop) bool { return s.asked })
		if len(next) == 0 {
			return
		}
		next = next[:min(len(next), dhtAtOnce)]
		w.asked += len(next)
		answers := each(next, func(s *stop) *dht.Message {
			got, err := w.send(ctx, s, dht.NewMessage(question, w.key, 0))
			s.asked, s.silent = true, err != nil
			return got
		})
		for _, a := range answers {
			w.learn(a)
		}
	}
}

// learn reads an answer, which may say anything.
func (w *walk) learn(a *dht.Message) {
	for _, p := range a.GetCloserPeers()[:min(len(a.GetCloserPeers()), 2*dhtWidth)] {
		if info := dht.PBPeerToPeerInfo(p); info.ID.Validate() == nil {
			if info.Addrs = w.dialable(info.Addrs); len(info.Addrs) > 0 {
				w.meet(info)
			}
		}
	}
	for _, p := range a.GetProviderPeers() {
		info := dht.PBPeerToPeerInfo(p)
		info.Addrs = w.dialable(info.Addrs)
		known := slices.ContainsFunc(w.providers, func(o peer.AddrInfo) bool { return o.ID == info.ID })
		if info.ID != w.host.ID() && len(info.Addrs) > 0 && !known && len(w.providers) < dhtEnough {
			w.providers = append(w.providers, info)
		}
	}
}

// dialable keeps the addresses that lead somewhere: public ones, or any if the table is one of this machine.
func (w *walk) dialable(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	if !w.near {
		addrs = slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool { return !manet.IsPublicAddr(a) })
	}
	return dialable(addrs, w.near)
}

// send sends a message to a peer and reads the answer, which is nil if the peer hangs up without one: to a record it has none.
func (w *walk) send(ctx context.Context, to *stop, m *dht.Message) (*dht.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, dhtPatience)
	defer cancel()
	if err := w.host.Connect(ctx, to.AddrInfo); err != nil {
		return nil, err
	}
	s, err := w.host.NewStream(ctx, to.ID, protocolDHT)
	if err != nil {
		return nil, err
	}
	defer s.Reset() // of a stream that is closed it does nothing
	if err := s.SetDeadline(time.Now().Add(dhtPatience)); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	if err := msgio.NewVarintWriter(s).WriteMsg(b); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	b, err = msgio.NewVarintReaderSize(s, dhtReply).ReadMsg()
	if errors.Is(err, io.EOF) && m.GetType() == dht.Message_ADD_PROVIDER {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	answer := &dht.Message{}
	return answer, proto.Unmarshal(b, answer)
}

// hangUp closes the connections that the walk has opened, but those that something else has come to use.
func (w *walk) hangUp() {
	for _, s := range w.stops {
		if s.asked && !w.before[s.ID] && !slices.ContainsFunc(w.host.Network().ConnsToPeer(s.ID), inUseByOthers) {
			_ = w.host.Network().ClosePeer(s.ID)
		}
	}
}

func inUseByOthers(c network.Conn) bool {
	return slices.ContainsFunc(c.GetStreams(), func(s network.Stream) bool {
		return s.Protocol() != protocolDHT && s.Protocol() != "" && !strings.HasPrefix(string(s.Protocol()), "/ipfs/id/")
	})
}

// each calls f for all at once and returns what it returns, in order.
func each[A, B any](all []A, f func(A) B) []B {
	out := make([]B, len(all))
	var running sync.WaitGroup
	for i, a := range all {
		running.Go(func() { out[i] = f(a) })
	}
	running.Wait()
	return out
}
