package swarm

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/skein-train/skein/aggregator"
)

// protocolStatus tells a stranger how a node fares: nothing → status.
const protocolStatus protocol.ID = "/skein/status/1"

// Phase is how far a run has come.
type Phase uint8

// The phases.
const (
	Waiting Phase = iota // before the genesis
	Running
	Closed
	phases
)

// Status is how a node fares, in its own words.
type Status struct {
	Run            aggregator.Hash
	Phase          Phase
	Round          aggregator.Seq // last certificate
	Step           uint64         // inner steps behind the run
	Workers        int            // in the roster
	Peers          int            // connected
	Time           time.Time      // the node's clock, to the millisecond
	Uptime         time.Duration
	Sent, Received uint64 // bytes: see Node.Traffic
	Links          []Link // of the connected peers, at most 64
}

// Link is one connected peer.
type Link struct {
	Peer    aggregator.PeerID
	Inbound bool // the peer dialled
}

const (
	statusSize = 32 + 1 + 8 + 8 + 4 + 4 + 8 + 8 + 8 + 8 + 2 // without links
	linkSize   = 32 + 1
)

// Status is how the node fares.
func (n *Node) Status() Status {
	s := Status{Run: n.run, Time: time.Now(), Uptime: time.Since(n.born)}
	s.Sent, s.Received = n.Traffic()
	if tip := n.ledger.tip(); tip != nil {
		s.Phase, s.Round, s.Step = Running, tip.Seq, tip.Key.Departure
		if tip.Kind == aggregator.Closing {
			s.Phase, s.Round, s.Step = Closed, tip.Seq-1, n.Run.Schedule.Steps
		}
	}
	s.Workers = n.ledger.workers()
	peers := n.host.Network().Peers()
	s.Peers = len(peers)
	for _, p := range peers {
		id, err := peerID(p)
		conns := n.host.Network().ConnsToPeer(p)
		if err == nil && len(conns) > 0 && len(s.Links) < maxPeers {
			s.Links = append(s.Links, Link{Peer: id, Inbound: conns[0].Stat().Direction == network.DirInbound})
		}
	}
	return s
}

func (s *Status) encode() []byte {
	out := append(append(make([]byte, 0, statusSize+linkSize*len(s.Links)), s.Run[:]...), byte(s.Phase))
	out = binary.LittleEndian.AppendUint64(out, uint64(s.Round))
	out = binary.LittleEndian.AppendUint64(out, s.Step)
	out = binary.LittleEndian.AppendUint32(out, uint32(s.Workers))
	out = binary.LittleEndian.AppendUint32(out, uint32(s.Peers))
	for _, v := range []uint64{uint64(s.Time.UnixMilli()), uint64(s.Uptime.Milliseconds()), s.Sent, s.Received} {
		out = binary.LittleEndian.AppendUint64(out, v)
	}
	out = binary.LittleEndian.AppendUint16(out, uint16(len(s.Links)))
	for _, l := range s.Links {
		direction := byte(0)
		if l.Inbound {
			direction = 1
		}
		out = append(append(out, l.Peer[:]...), direction)
	}
	return out
}

// decodeStatus reads a status from hostile bytes.
func decodeStatus(b []byte) (*Status, error) {
	if len(b) < statusSize || b[32] >= byte(phases) {
		return nil, malformed("status of %d bytes", len(b))
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	s := &Status{
		Run: aggregator.Hash(b), Phase: Phase(b[32]), Round: aggregator.Seq(u64(33)), Step: u64(41),
		Workers: int(binary.LittleEndian.Uint32(b[49:])), Peers: int(binary.LittleEndian.Uint32(b[53:])), Sent: u64(73), Received: u64(81),
	}
	ms, up := u64(57), u64(65)
	if s.Workers > aggregator.MaxRoster || s.Peers > 1<<20 || ms > maxMillis || up > maxMillis {
		return nil, malformed("status of %d workers, %d peers, time %d ms, up %d ms", s.Workers, s.Peers, ms, up)
	}
	s.Time, s.Uptime = time.UnixMilli(int64(ms)), time.Duration(up)*time.Millisecond
	links := b[statusSize:]
	if n := int(binary.LittleEndian.Uint16(b[89:])); n > maxPeers || len(links) != n*linkSize {
		return nil, malformed("status with %d links in %d bytes", n, len(links))
	}
	for ; len(links) > 0; links = links[linkSize:] {
		if links[32] > 1 {
			return nil, malformed("direction %d", links[32])
		}
		s.Links = append(s.Links, Link{Peer: aggregator.PeerID(links), Inbound: links[32] == 1})
	}
	return s, nil
}

func (n *Node) serveStatus(s network.Stream) error {
	status := n.Status()
	_, err := lively{s}.Write(status.encode())
	return err
}

// FetchStatus asks the peers at the given addresses, one after the other, how they fare, as FetchRun asks for their run.
func FetchStatus(ctx context.Context, addrs []string) (*Status, error) {
	return visit(ctx, addrs, protocolStatus, nil, func(_ peer.AddrInfo, r io.Reader) (*Status, error) {
		b, err := io.ReadAll(io.LimitReader(r, statusSize+maxPeers*linkSize+1))
		if err != nil {
			return nil, err
		}
		return decodeStatus(b)
	})
}

// FetchLog asks the peers at the given addresses for the log of a run, from the genesis on, and checks all of it. It returns
// the chain, whose tip and roster are those of now, and the certificates from number from on.
func FetchLog(ctx context.Context, addrs []string, m *aggregator.Manifest, from aggregator.Seq) (*aggregator.Chain, []*aggregator.Certificate, error) {
	chain, run := aggregator.NewChain(m), m.Hash()
	var out []*aggregator.Certificate
	for {
		next := aggregator.Seq(0)
		if tip := chain.Tip(); tip != nil {
			next = tip.Seq + 1
		}
		request := binary.LittleEndian.AppendUint64(append([]byte(nil), run[:]...), uint64(next))
		got, err := visit(ctx, addrs, protocolLog, request, func(info peer.AddrInfo, r io.Reader) ([]*aggregator.Certificate, error) {
			return readLog(info, r, chain)
		})
		if err != nil {
			return nil, nil, err
		}
		for _, c := range got {
			if c.Seq >= from {
				out = append(out, c)
			}
		}
		if len(got) == 0 {
			return chain, out, nil
		}
	}
}

// readLog adds one answer to a chain.
func readLog(info peer.AddrInfo, r io.Reader, chain *aggregator.Chain) (out []*aggregator.Certificate, err error) {
	for in := bufio.NewReader(io.LimitReader(r, logAnswerLimit+aggregator.MaxCertificateSize+4)); ; {
		c, err := readCertificate(in)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err == nil {
			err = chain.Add(c)
		}
		if errors.Is(err, aggregator.ErrInvalid) || errors.Is(err, aggregator.ErrMalformed) {
			return nil, troubled(ErrForged, err, "%s: the log there does not follow from the run's manifest (%v): do not trust this peer", place(info), err)
		} else if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
}
