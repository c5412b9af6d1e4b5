package swarm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/skein-train/skein/aggregator"
)

// protocolRun hands a stranger what it needs to decide whether it takes part: nothing → unix time in milliseconds, then
// manifest and welcome, each behind its length as a uint32.
const protocolRun protocol.ID = "/skein/run/1"

const (
	// MaxWelcome bounds the welcome that a node hands to joiners, in bytes.
	MaxWelcome = 1 << 20

	maxManifest = 256 << 10 // bytes of a signed manifest
	maxMillis   = 1 << 43   // milliseconds: 278 years, of time or duration

	// clockLimit is how far clocks may differ: libp2p's certificates are valid from an hour before they are made.
	clockLimit = 55 * time.Minute
)

// Invitation is what a peer tells a stranger about its run.
type Invitation struct {
	Run     *aggregator.SignedManifest // checked for form and signature
	Welcome []byte                     // bytes from a stranger: to be checked against the manifest's hashes
	Peer    aggregator.PeerID          // who answered
	Ahead   time.Duration              // the peer's clock − this machine's, give or take half a round trip
}

func (n *Node) serveRun(s network.Stream) error {
	out := binary.LittleEndian.AppendUint64(nil, uint64(time.Now().UnixMilli()))
	for _, b := range [][]byte{n.Run.Encode(), n.Welcome} {
		out = append(binary.LittleEndian.AppendUint32(out, uint32(len(b))), b...)
	}
	_, err := lively{s}.Write(out)
	return err
}

// FetchRun asks the peers at the given addresses, one after the other, which run they take part in. It uses an identity of
// the moment and listens nowhere. Its errors are Troubles.
func FetchRun(ctx context.Context, addrs []string) (*Invitation, error) {
	return visit(ctx, addrs, protocolRun, nil, readRun)
}

func readRun(info peer.AddrInfo, r io.Reader) (*Invitation, error) {
	var sent [8]byte
	if _, err := io.ReadFull(r, sent[:]); err != nil {
		return nil, err
	}
	now := time.Now()
	ms := binary.LittleEndian.Uint64(sent[:])
	if ms > maxMillis {
		return nil, malformed("unix time of %d ms", ms)
	}
	b, err := readBlock(r, maxManifest)
	if err != nil {
		return nil, err
	}
	m, err := aggregator.DecodeManifest(b)
	if err != nil {
		return nil, troubled(ErrForged, err, "%s: the run's manifest there is forged or damaged (%v): do not join, ask the run's owner for an address", place(info), err)
	}
	welcome, err := readBlock(r, MaxWelcome)
	if err != nil {
		return nil, err
	}
	who, err := peerID(info.ID)
	if err != nil {
		return nil, troubled(ErrNoSkein, err, "%s: no skein peer has such an identity: check the address", place(info))
	}
	ahead := time.UnixMilli(int64(ms)).Sub(now)
	if ahead.Abs() > clockLimit {
		return nil, troubled(ErrClock, nil, "%s: the clock of this machine says %s, the peer's %s: set this one right and try again",
			place(info), clock(now), clock(now.Add(ahead)))
	}
	return &Invitation{Run: &m, Welcome: welcome, Peer: who, Ahead: ahead}, nil
}

// readBlock reads a length and that many bytes, at most limit.
func readBlock(r io.Reader, limit uint32) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > limit {
		return nil, malformed("block of %d bytes, at most %d allowed", n, limit)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("block of %d bytes: %w", n, io.ErrUnexpectedEOF)
	} else if err != nil {
		return nil, err
	}
	return b, nil
}
