package swarm

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/skein-train/skein/aggregator"
)

// Direct streams: the fallback for what gossip lost, and the way back for who was away.
const (
	protocolPayload protocol.ID = "/skein/payload/1" // run ‖ SHA-256 ‖ offset → whether it is here, the payload from there on
	protocolLog     protocol.ID = "/skein/log/1"     // run ‖ number → certificates from there on, each behind its length

	payloadRequestSize = 32 + 32 + 8
	logRequestSize     = 32 + 8
	logAnswerLimit     = 4 << 20 // bytes of certificates in one answer

	payloadGone, payloadHere = 0, 1 // first byte of the answer

	streamIdle = 20 * time.Second // without a byte, then a stream is given up
)

func (n *Node) serve() {
	n.host.SetStreamHandler(protocolPayload, n.handler(n.servePayload))
	n.host.SetStreamHandler(protocolLog, n.handler(n.serveLog))
	n.host.SetStreamHandler(protocolRun, n.handler(n.serveRun))
	n.host.SetStreamHandler(protocolPeers, n.handler(n.servePeers))
	n.host.SetStreamHandler(protocolPeer, n.handler(n.servePeer))
	n.host.SetStreamHandler(protocolStatus, n.handler(n.serveStatus))
	n.host.SetStreamHandler(protocolMoments, n.handler(n.serveMoments))
}

func (n *Node) handler(answer func(network.Stream) error) network.StreamHandler {
	return func(s network.Stream) {
		_ = s.SetDeadline(time.Now().Add(streamIdle))
		if err := answer(s); err != nil {
			if errors.Is(err, aggregator.ErrMalformed) {
				n.guard.offence(s.Conn().RemotePeer(), err.Error())
			}
			_ = s.Reset()
			return
		}
		_ = s.Close()
	}
}

// request reads an exact number of bytes that start with the run.
func (n *Node) request(s network.Stream, size int) ([]byte, error) {
	b := make([]byte, size)
	if _, err := io.ReadFull(s, b); err != nil {
		return nil, fmt.Errorf("request cut short: %w", err)
	}
	if aggregator.Hash(b) != n.run {
		n.guard.otherRun(s.Conn().RemotePeer())
		return nil, errOtherRun
	}
	return b[32:], nil
}

func (n *Node) servePayload(s network.Stream) error {
	b, err := n.request(s, payloadRequestSize)
	if err != nil {
		return err
	}
	path, size, ok := n.depot.find(aggregator.Hash(b))
	if !ok {
		n.relay(aggregator.Hash(b), s.Conn().RemotePeer())
		_, err := s.Write([]byte{payloadGone})
		return err
	}
	off := binary.LittleEndian.Uint64(b[32:])
	if off > size {
		return malformed("offset %d in a payload of %d bytes", off, size)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := s.Write([]byte{payloadHere}); err != nil {
		return err
	}
	_, err = io.Copy(lively{s}, io.NewSectionReader(f, int64(off), int64(size-off)))
	return err
}

// relay has a member of the committee fetch a payload whose reader asks for it, in a round of pairs: the two cannot reach each other. The reader
// will ask again.
func (n *Node) relay(payload aggregator.Hash, reader peer.ID) {
	if !slices.Contains(n.Run.Committee, n.signer.ID) {
		return
	}
	for _, w := range n.depot.naming(payload) {
		if !n.Run.Paired(w.seq) {
			continue
		}
		if p, err := netID(n.ledger.partner(w.header.Worker, w.seq)); err == nil && p == reader {
			_, _ = n.know(&w.header, needFetched) // an error ends the node
		}
	}
}

func (n *Node) serveLog(s network.Stream) error {
	b, err := n.request(s, logRequestSize)
	if err != nil {
		return err
	}
	return n.ledger.dump(lively{s}, binary.LittleEndian.Uint64(b), logAnswerLimit)
}

// lively moves a stream's deadline on with every byte that passes.
type lively struct{ network.Stream }

func (l lively) Read(p []byte) (int, error) {
	_ = l.SetReadDeadline(time.Now().Add(streamIdle))
	return l.Stream.Read(p)
}

func (l lively) Write(p []byte) (total int, err error) {
	for len(p) > 0 && err == nil {
		_ = l.SetWriteDeadline(time.Now().Add(streamIdle))
		var k int
		k, err = l.Stream.Write(p[:min(len(p), partSize)])
		total, p = total+k, p[k:]
	}
	return total, err
}

// open sends a request to a peer and returns the stream of the answer, which ends with ctx.
func (n *Node) open(ctx context.Context, p peer.ID, id protocol.ID, request []byte) (io.Reader, func(), error) {
	ctx, cancel := context.WithCancel(network.WithNoDial(ctx, "fallback"))
	dial, done := context.WithTimeout(ctx, streamIdle)
	defer done()
	s, err := n.host.NewStream(dial, p, id)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	end := context.AfterFunc(ctx, func() { _ = s.Reset() })
	finish := func() { end(); cancel(); _ = s.Reset() }
	_ = s.SetDeadline(time.Now().Add(streamIdle))
	_, err = s.Write(append(n.run[:], request...))
	if err = errors.Join(err, s.CloseWrite()); err != nil {
		finish()
		return nil, nil, err
	}
	return lively{s}, finish, nil
}

// ask says that a peer knows certificates that this node lacks.
func (n *Node) ask(p peer.ID) {
	select {
	case n.lookup <- p:
	default: // being asked already
	}
}

// catchUp fetches missing certificates: from whoever showed that it has them, and, when the log stands still for long, from
// anybody.
func (n *Node) catchUp() {
	timer := time.NewTimer(n.pace.patience)
	defer timer.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case p := <-n.lookup:
			if err := n.fetchLog(p); err != nil {
				n.Log.Debug("fetching certificates", "peer", p, "err", err) // somebody else will do
			}
		case <-timer.C:
			if peers := n.host.Network().Peers(); len(peers) > 0 {
				_ = n.fetchLog(peers[rand.IntN(len(peers))]) // it may be busy, or know no more than we do
			}
		}
		timer.Reset(n.pace.patience)
	}
}

// fetchLog adds a peer's certificates to ours until it has no more. Meanwhile nobody takes our tip for the present.
func (n *Node) fetchLog(p peer.ID) error {
	n.behind.Store(true)
	defer func() {
		n.behind.Store(false)
		select {
		case n.present <- struct{}{}:
		default: // told already
		}
	}()
	for {
		got, err := n.fetchCertificates(p)
		if err != nil || got == 0 {
			return err
		}
	}
}

func (n *Node) fetchCertificates(p peer.ID) (got int, err error) {
	var next uint64
	if tip := n.ledger.tip(); tip != nil {
		next = uint64(tip.Seq) + 1
	}
	r, finish, err := n.open(n.ctx, p, protocolLog, binary.LittleEndian.AppendUint64(nil, next))
	if err != nil {
		return 0, err
	}
	defer finish()
	for in := bufio.NewReader(io.LimitReader(r, logAnswerLimit+aggregator.MaxCertificateSize+4)); ; {
		c, err := readCertificate(in)
		if errors.Is(err, io.EOF) {
			return got, nil
		} else if err != nil {
			return got, n.blame(p, err)
		}
		known, err := n.take(c)
		if err != nil {
			return got, n.blame(p, err)
		}
		if !known { // else gossip was faster
			got++
		}
	}
}

// blame counts an invalid answer against the peer that gave it.
func (n *Node) blame(p peer.ID, err error) error {
	if errors.Is(err, aggregator.ErrMalformed) || errors.Is(err, aggregator.ErrInvalid) {
		n.guard.offence(p, err.Error())
	}
	return err
}

// readCertificate reads one length and the certificate behind it; io.EOF if nothing is left.
func readCertificate(r io.Reader) (*aggregator.Certificate, error) {
	b, err := readBlock(r, aggregator.MaxCertificateSize)
	if err != nil {
		return nil, err
	}
	c, err := aggregator.DecodeCertificate(b)
	return &c, err
}
