package swarm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// protocolMoments hands the state of a worker's inner optimizer to a joiner: run → moments.
const protocolMoments protocol.ID = "/skein/moments/1"

// Moments is the state of an inner optimizer: what a worker that starts from a checkpoint would otherwise have to warm up.
type Moments struct {
	Round    uint64 // the last round folded in where they were taken
	Vectors  [][]float32
	Counters []uint64
}

const (
	momentsHead = 1 + 8 + 4 + 4 // here, round, number of vectors, number of counters
	maxVectors  = 64
	maxCounters = 64

	momentsChunk = 64 << 10 // values converted at a time
)

// errNoMoments says that a peer has no moments to give now.
var errNoMoments = errors.New("no moments to give")

// serveMoments serves one peer at a time: every answer is as large as the model.
func (n *Node) serveMoments(s network.Stream) error {
	if _, err := n.request(s, 32); err != nil {
		return err
	}
	m, ok := Moments{}, false
	if n.Moments != nil && n.giving.take() {
		defer n.giving.back()
		m.Round, m.Vectors, m.Counters, ok = n.Moments()
	}
	if !ok {
		_, err := s.Write([]byte{0})
		return err
	}
	return m.write(lively{s})
}

// turn is held by one at a time; others wait for a while.
type turn chan struct{}

func (t turn) take() bool {
	wait := time.NewTimer(streamIdle / 4)
	defer wait.Stop()
	select {
	case t <- struct{}{}:
		return true
	case <-wait.C:
		return false
	}
}

func (t turn) back() { <-t }

// write sends header, values and a SHA-256 over all of it.
func (m *Moments) write(w io.Writer) error {
	sum := sha256.New()
	to := io.MultiWriter(w, sum)
	if _, err := to.Write(m.head()); err != nil {
		return err
	}
	for _, v := range m.Vectors {
		for piece := range slices.Chunk(v, momentsChunk) {
			b := make([]byte, 0, 4*len(piece))
			for _, x := range piece {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
			}
			if _, err := to.Write(b); err != nil {
				return err
			}
		}
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

// head says that moments follow, their sizes and the counters.
func (m *Moments) head() []byte {
	out := binary.LittleEndian.AppendUint64([]byte{1}, m.Round)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(m.Vectors)))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(m.Counters)))
	for _, v := range m.Vectors {
		out = binary.LittleEndian.AppendUint64(out, uint64(len(v)))
	}
	for _, c := range m.Counters {
		out = binary.LittleEndian.AppendUint64(out, c)
	}
	return out
}

// readMoments reads moments of exactly these lengths, with so many counters, from hostile bytes.
func readMoments(r io.Reader, lengths []int, counters int) (*Moments, error) {
	head := make([]byte, momentsHead+8*(len(lengths)+counters))
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return nil, err
	}
	if head[0] != 1 {
		return nil, errNoMoments
	}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return nil, err
	}
	m := &Moments{Round: binary.LittleEndian.Uint64(head[1:]), Vectors: make([][]float32, len(lengths)), Counters: make([]uint64, counters)}
	for i := range m.Counters {
		m.Counters[i] = binary.LittleEndian.Uint64(head[momentsHead+8*(len(lengths)+i):])
	}
	want := []byte{1}
	want = binary.LittleEndian.AppendUint64(want, m.Round)
	want = binary.LittleEndian.AppendUint32(want, uint32(len(lengths)))
	want = binary.LittleEndian.AppendUint32(want, uint32(counters))
	for _, n := range lengths {
		want = binary.LittleEndian.AppendUint64(want, uint64(n))
	}
	if !bytes.HasPrefix(head, want) {
		return nil, malformed("moments of other sizes than this model's")
	}
	sum := sha256.New()
	sum.Write(head)
	from := io.TeeReader(r, sum)
	for i, n := range lengths {
		m.Vectors[i] = make([]float32, n)
		if err := readValues(from, m.Vectors[i]); err != nil {
			return nil, err
		}
	}
	var told [sha256.Size]byte
	if _, err := io.ReadFull(r, told[:]); err != nil {
		return nil, err
	}
	if [sha256.Size]byte(sum.Sum(nil)) != told {
		return nil, malformed("moments damaged on the way")
	}
	return m, nil
}

func readValues(r io.Reader, dst []float32) error {
	b := make([]byte, 4*min(len(dst), momentsChunk))
	for piece := range slices.Chunk(dst, momentsChunk) {
		b = b[:4*len(piece)]
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		for i := range piece {
			piece[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
			if x := float64(piece[i]); math.IsNaN(x) || math.IsInf(x, 0) {
				return malformed("moments that are not finite")
			}
		}
	}
	return nil
}

// FetchMoments asks the workers of the roster that it knows how to reach, those at hand first, for the moments of their inner optimizer: vectors of exactly
// these lengths and so many counters. Values are finite; that they are honest nobody can tell, so a caller bounds their effect or
// warms up instead. It takes as long as the bytes take; the first worker that answers whole is enough.
func (n *Node) FetchMoments(ctx context.Context, lengths []int, counters int) (*Moments, error) {
	if len(lengths) > maxVectors || counters > maxCounters || slices.ContainsFunc(lengths, func(k int) bool { return k < 0 }) {
		return nil, fmt.Errorf("swarm: moments of %d vectors and %d counters, at most %d and %d travel", len(lengths), counters, maxVectors, maxCounters)
	}
	peers, err := n.reachable(), errNoMoments
	for _, p := range peers {
		id, e := peerID(p)
		if e != nil || !n.ledger.seated(id) {
			continue
		}
		var m *Moments
		if m, e = n.momentsOf(ctx, p, lengths, counters); e == nil {
			return m, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(e, errNoMoments) {
			err = n.blame(p, e)
		}
	}
	return nil, fmt.Errorf("swarm: no worker gives its moments, the inner optimizer has to warm up: %w", err)
}

// reachable lists the peers that are connected, and behind them those whose addresses are known, each in any order.
func (n *Node) reachable() []peer.ID {
	near, far := n.host.Network().Peers(), n.host.Peerstore().PeersWithAddrs()
	far = slices.DeleteFunc(far, func(p peer.ID) bool { return p == n.host.ID() || slices.Contains(near, p) })
	for _, ps := range [][]peer.ID{near, far} {
		rand.Shuffle(len(ps), func(i, j int) { ps[i], ps[j] = ps[j], ps[i] })
	}
	return slices.Concat(near, far)
}

func (n *Node) momentsOf(ctx context.Context, p peer.ID, lengths []int, counters int) (*Moments, error) {
	size := 0
	for _, k := range lengths {
		size += 4 * k
	}
	ctx, cancel := context.WithTimeout(ctx, streamIdle+time.Duration(size/slowest)*time.Second)
	defer cancel()
	r, finish, err := n.open(ctx, p, protocolMoments, nil)
	if err != nil {
		return nil, err
	}
	defer finish()
	return readMoments(r, lengths, counters)
}
