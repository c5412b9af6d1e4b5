package swarm

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
	"github.com/skein-train/skein/aggregator"
)

// slowest is how slow a source may be before the next one is tried, in bytes per second. What it sent is kept.
const slowest = 4 << 10

// pursue sees to it that a payload arrives: as long as parts come in it only watches, then it fetches over a stream, from
// the author first, then from anybody. It gives up when all peers say for long that they do not have it.
func (n *Node) pursue(w *want, urgent bool) {
	var denied time.Time // since when everybody says no
	try := func() (lost bool) {
		switch {
		case w.isHere() || !n.fetch(w):
			denied = time.Time{}
		case denied.IsZero():
			denied = time.Now()
		}
		return !denied.IsZero() && n.hopeless(w, time.Since(denied))
	}
	if urgent {
		try()
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
		} else if try() || n.forsaken(w) {
			n.depot.abandon(w)
			return
		}
		timer.Reset(wait)
	}
}

// hopeless reports whether a payload that everybody has denied for so long will not come: a counted one, that is. One that was
// counted lately may still be on its way to the peers.
func (n *Node) hopeless(w *want, long time.Duration) bool {
	tip := n.ledger.tip()
	if tip == nil || !n.depot.counts(w) {
		return false
	}
	if w.seq+horizon < tip.Seq {
		return long >= n.pace.patience
	}
	return long >= n.pace.stuck
}

// forsaken reports whether a payload of a round of pairs is not worth waiting for any longer: it is of use to one or two, who do without it.
func (n *Node) forsaken(w *want) bool {
	tip := n.ledger.tip()
	return n.Run.Paired(w.seq) && tip != nil && w.seq+horizon < tip.Seq && !w.isHere()
}

// fetch tries peer after peer; what one has sent stays when the next is asked. It reports whether there were peers, and all of
// them said that they do not have the payload.
func (n *Node) fetch(w *want) (denied bool) {
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
	path := w.way(streamSuffix)
	if n.Run.Paired(w.seq) {
		n.roads.reach(ctx, w.header.Worker)
	}
	sources := n.sources(w)
	denials := 0
	for _, p := range sources {
		if ctx.Err() != nil {
			break
		}
		got, size, err := n.fetchFrom(ctx, p, w, path)
		if errors.Is(err, aggregator.ErrGone) {
			denials++
			continue
		}
		if err == nil && uint64(size) == w.header.Size {
			if err = n.depot.commit(w, path); err == nil {
				return false
			}
			if got == size && errors.Is(err, aggregator.ErrMalformed) { // all of it from one mouth
				n.guard.offence(n.liar(ctx, p, w, path), err.Error())
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
	return denials > 0 && denials == len(sources)
}

// sources are the connected peers that may have a payload: its author first, then the committee, which had it once, then
// the others in any order; of a round of pairs the author, and the committee, which brings together who cannot reach each other.
func (n *Node) sources(w *want) []peer.ID {
	peers := n.host.Network().Peers()
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	rank := func(p peer.ID) int {
		id, err := peerID(p)
		switch {
		case err != nil:
			return 3
		case id == w.header.Worker:
			return 0
		case slices.Contains(n.Run.Committee, id):
			return 1
		}
		return 2
	}
	if n.Run.Paired(w.seq) {
		peers = slices.DeleteFunc(peers, func(p peer.ID) bool { return rank(p) > 1 })
	}
	slices.SortStableFunc(peers, func(a, b peer.ID) int { return rank(a) - rank(b) })
	return peers
}

// fetchFrom appends what a peer has beyond the bytes that are in the file already. It returns how many bytes came, and how
// many there are now; aggregator.ErrGone if the peer does not have the payload.
func (n *Node) fetchFrom(ctx context.Context, p peer.ID, w *want, path string) (got, size int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		n.spoiled(w, fmt.Errorf("swarm: payloads: %w", err))
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	offset, err := f.Seek(0, io.SeekEnd)
	if err == nil && offset > int64(w.header.Size) { // what a crash left
		offset, err = 0, f.Truncate(0)
	}
	if err != nil {
		return 0, 0, err
	}
	left := int64(w.header.Size) - offset
	ctx, cancel := context.WithTimeout(ctx, streamIdle+time.Duration(left/slowest)*time.Second)
	defer cancel()
	r, finish, err := n.askPayload(ctx, p, w, offset)
	if err != nil {
		return 0, offset, err
	}
	defer finish()
	got, err = io.Copy(io.NewOffsetWriter(f, offset), io.LimitReader(r, left))
	return got, offset + got, err
}

// askPayload opens what a peer has of a payload from an offset on; aggregator.ErrGone if it does not have it.
func (n *Node) askPayload(ctx context.Context, p peer.ID, w *want, offset int64) (io.Reader, func(), error) {
	request := binary.LittleEndian.AppendUint64(append([]byte(nil), w.header.Payload[:]...), uint64(offset))
	r, finish, err := n.open(ctx, p, protocolPayload, request)
	if err != nil {
		return nil, nil, unspoken(err)
	}
	var here [1]byte
	_, err = io.ReadFull(r, here[:])
	switch {
	case err != nil:
		err = unspoken(err)
	case here[0] != payloadHere:
		err = aggregator.ErrGone
	default:
		return r, finish, nil
	}
	finish()
	return nil, nil, err
}

// liar tells who is to blame for bytes that are not what the header says: the header's author if the payload goes on behind the size that the header gives, and is the
// right one as a whole; else the peer that sent them.
func (n *Node) liar(ctx context.Context, p peer.ID, w *want, path string) peer.ID {
	f, err := os.Open(path)
	if err != nil {
		return p
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(ctx, streamIdle)
	defer cancel()
	rest, finish, err := n.askPayload(ctx, p, w, int64(w.header.Size))
	if err != nil {
		return p
	}
	defer finish()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.MultiReader(f, io.LimitReader(rest, int64(n.MaxPayload(w.header.Key.Fragment))))); err != nil {
		return p
	}
	if author, err := netID(w.header.Worker); err == nil && aggregator.Hash(sum.Sum(nil)) == w.header.Payload {
		return author
	}
	return p
}

// unspoken is aggregator.ErrGone if a peer does not speak our protocol: it has no payloads.
func unspoken(err error) error {
	var unsupported multistream.ErrNotSupported[protocol.ID]
	if errors.As(err, &unsupported) {
		return aggregator.ErrGone
	}
	return err
}
