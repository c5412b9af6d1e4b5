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
	protocolPayload protocol.ID = "/skein/payload/1" // run ‖ SHA-256 ‖ offset → the payload from there on
	protocolLog     protocol.ID = "/skein/log/1"     // run ‖ number → certificates from there on, each behind its length

	payloadRequestSize = 32 + 32 + 8
	logRequestSize     = 32 + 8
	logAnswerLimit     = 4 << 20 // bytes of certificates in one answer

	streamIdle = 20 * time.Second // without a byte, then a stream is given up
)

func (n *Node) serve() {
	n.host.SetStreamHandler(protocolPayload, n.handler(n.servePayload))
	n.host.SetStreamHandler(protocolLog, n.handler(n.serveLog))
	n.host.SetStreamHandler(protocolRun, n.handler(n.serveRun))
	n.host.SetStreamHandler(protocolPeers, n.handler(n.servePeers))
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
	w := n.depot.lookup(aggregator.Hash(b))
	if w == nil {
		return fmt.Errorf("payload %s is not here", aggregator.Hash(b).Short())
	}
	off := binary.LittleEndian.Uint64(b[32:])
	if off > w.header.Size {
		return malformed("offset %d in a payload of %d bytes", off, w.header.Size)
	}
	f, err := os.Open(w.path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(lively{s}, io.NewSectionReader(f, int64(off), int64(w.header.Size-off)))
	return err
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

// pursue sees to it that a payload arrives: as long as parts come in it only watches, then it fetches over a stream, from
// the author first, then from anybody.
func (n *Node) pursue(w *want, urgent bool) {
	if urgent && !w.isHere() {
		n.fetch(w)
	}
	timer := time.NewTimer(n.pace.patience)
	defer timer.Stop()
	for seen := uint64(0); ; {
		select {
		case <-w.here:
			n.stored(w)
			return
		case <-w.gone:
			return
		case <-n.ctx.Done():
			return
		case <-timer.C:
		}
		wait := n.pace.patience
		if now := w.progress.Load(); now != seen {
			seen, wait = now, n.pace.stuck // a part takes long on a slow road: do not fetch it twice
		} else {
			n.fetch(w)
		}
		timer.Reset(wait)
	}
}

// fetch tries peer after peer; what one has sent stays when the next is asked.
func (n *Node) fetch(w *want) {
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	go func() { // parts may still complete the payload meanwhile
		select {
		case <-w.here:
		case <-w.gone:
		case <-ctx.Done():
		}
		cancel()
	}()
	path := w.path + ".stream"
	for _, p := range n.sources(w) {
		if ctx.Err() != nil {
			break
		}
		got, size, err := n.fetchFrom(ctx, p, w, path)
		if err == nil && uint64(size) == w.header.Size {
			if err = n.depot.commit(w, path); err == nil {
				return
			}
			if got == size && errors.Is(err, aggregator.ErrMalformed) { // all of it from one mouth
				n.guard.offence(p, err.Error())
			}
			_ = os.Remove(path)
		}
		if err != nil && ctx.Err() == nil {
			n.Log.Debug("fetching a payload", "payload", w.header.Payload.Short(), "peer", p, "err", err) // somebody else will do
		}
	}
	if w.isHere() {
		_ = os.Remove(path)
	}
}

// sources are the connected peers that may have a payload: its author first, the others in any order.
func (n *Node) sources(w *want) []peer.ID {
	peers := n.host.Network().Peers()
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	if author, err := netID(w.header.Worker); err == nil {
		if i := slices.Index(peers, author); i > 0 {
			peers[0], peers[i] = peers[i], peers[0]
		}
	}
	return peers
}

// fetchFrom appends what a peer has beyond the bytes that are in the file already. It returns how many bytes came, and how
// many there are now.
func (n *Node) fetchFrom(ctx context.Context, p peer.ID, w *want, path string) (got, size int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		n.broken(fmt.Errorf("swarm: payloads: %w", err))
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	offset, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	request := binary.LittleEndian.AppendUint64(append([]byte(nil), w.header.Payload[:]...), uint64(offset))
	r, finish, err := n.open(ctx, p, protocolPayload, request)
	if err != nil {
		return 0, offset, err
	}
	defer finish()
	got, err = io.Copy(f, io.LimitReader(r, int64(w.header.Size)-offset))
	return got, offset + got, err
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

// fetchLog adds a peer's certificates to ours until it has no more.
func (n *Node) fetchLog(p peer.ID) error {
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
