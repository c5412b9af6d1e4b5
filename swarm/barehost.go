package swarm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/skein-train/skein/aggregator"
)

// BareHost is a libp2p host of the moment that takes part in no run: to serve blocks, or to fetch them. It has the
// sockets, limits and security of a Node, and a fresh identity.
type BareHost struct {
	host  host.Host
	meter *meter
	stop  context.CancelFunc
}

// NewBareHost starts a host that listens on the given multiaddrs, TCP and QUIC; none: it only dials. caps may be nil.
func NewBareHost(listen []string, caps *Caps) (*BareHost, error) {
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails: see crypto/rand
	ctx, stop := context.WithCancel(context.Background())
	b := &BareHost{meter: newMeter(ctx, caps), stop: stop}
	var err error
	g := newGuard(slog.New(slog.DiscardHandler), aggregator.NewSigner(seed).ID)
	if b.host, err = newHost(seed, b.meter, g, withTLS(b.meter), withNoise(b.meter)); err != nil {
		stop()
		return nil, fmt.Errorf("swarm: %w", err)
	}
	if err := listenOn(b.host, listen); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Host is the libp2p host. It closes with the BareHost, and only with it.
func (b *BareHost) Host() host.Host { return b.host }

// Addrs are the addresses that others can dial, with the host's identity at their ends.
func (b *BareHost) Addrs() []string { return listedAddrs(b.host) }

// listedAddrs are a host's addresses with its identity at their ends.
func listedAddrs(h host.Host) (out []string) {
	for _, a := range h.Addrs() {
		out = append(out, fmt.Sprintf("%s/p2p/%s", a, h.ID()))
	}
	return out
}

// Connect dials peers by their multiaddrs, identity included. It returns an error, a Trouble, only if none can be reached.
func (b *BareHost) Connect(ctx context.Context, addrs []string) error {
	return dialOnce(ctx, b.host, addrs)
}

// Meet dials peers that need not take part in the run, by their multiaddrs, identity included, and does not dial them again:
// to fetch blocks from them, or to let them fetch. It returns an error, a Trouble, only if none can be reached.
func (n *Node) Meet(ctx context.Context, addrs []string) error { return dialOnce(ctx, n.host, addrs) }

func dialOnce(ctx context.Context, h host.Host, addrs []string) error {
	infos, err := addrInfos(addrs)
	if err != nil {
		return err
	}
	var errs []error
	for _, info := range infos {
		if err := h.Connect(ctx, info); err != nil {
			errs = append(errs, diagnose(info, err))
		}
	}
	if len(errs) < len(infos) {
		return nil
	}
	return errors.Join(errs...)
}

// Traffic is the number of bytes that the host's sockets have sent and received.
func (b *BareHost) Traffic() (sent, received uint64) {
	return b.meter.sent.Load(), b.meter.received.Load()
}

// Close gives back sockets and goroutines.
func (b *BareHost) Close() error {
	b.stop()
	return b.host.Close()
}
