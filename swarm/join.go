package swarm

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/skein-train/skein/aggregator"
)

// protocolRun hands a stranger what it needs to decide whether it takes part: nothing → manifest and welcome, each behind
// its length as a uint32.
const protocolRun protocol.ID = "/skein/run/1"

const (
	// MaxWelcome bounds the welcome that a node hands to joiners, in bytes.
	MaxWelcome = 1 << 20

	maxManifest = 256 << 10 // bytes of a signed manifest
)

func (n *Node) serveRun(s network.Stream) error {
	var out []byte
	for _, b := range [][]byte{n.Run.Encode(), n.Welcome} {
		out = append(binary.LittleEndian.AppendUint32(out, uint32(len(b))), b...)
	}
	_, err := lively{s}.Write(out)
	return err
}

// FetchRun asks the peers at the given addresses, one after the other, which run they take part in. It returns the
// manifest, checked for form and signature, and the welcome that came with it: bytes from a stranger, to be checked against the
// manifest's hashes. It uses an identity of the moment and listens nowhere.
func FetchRun(ctx context.Context, addrs []string) (*aggregator.SignedManifest, []byte, error) {
	infos, err := addrInfos(addrs)
	if err != nil {
		return nil, nil, err
	}
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails: see crypto/rand
	key, err := libp2pKey(seed)
	if err != nil {
		return nil, nil, err
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false), libp2p.UserAgent("skein"))
	if err != nil {
		return nil, nil, fmt.Errorf("swarm: %w", err)
	}
	defer h.Close()
	errs := []error{errors.New("no peer could tell about its run")}
	for _, info := range infos {
		m, welcome, err := askRun(ctx, h, info)
		if err == nil {
			return m, welcome, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", info, err))
	}
	return nil, nil, errors.Join(errs...)
}

func askRun(ctx context.Context, h host.Host, info peer.AddrInfo) (*aggregator.SignedManifest, []byte, error) {
	if err := h.Connect(ctx, info); err != nil {
		return nil, nil, err
	}
	s, err := h.NewStream(ctx, info.ID, protocolRun)
	if err != nil {
		return nil, nil, err
	}
	defer s.Reset()
	return readRun(s)
}

func readRun(s network.Stream) (*aggregator.SignedManifest, []byte, error) {
	_ = s.SetDeadline(time.Now().Add(streamIdle))
	if err := s.CloseWrite(); err != nil {
		return nil, nil, err
	}
	b, err := readBlock(s, maxManifest)
	if err != nil {
		return nil, nil, err
	}
	m, err := aggregator.DecodeManifest(b)
	if err != nil {
		return nil, nil, err
	}
	welcome, err := readBlock(s, MaxWelcome)
	return &m, welcome, err
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
	_, err := io.ReadFull(r, b)
	return b, err
}
