package swarm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	libp2pswarm "github.com/libp2p/go-libp2p/p2p/net/swarm"
	tptu "github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	quicgo "github.com/quic-go/quic-go"
)

// newHost makes a libp2p host that does not listen yet: TCP and QUIC on the meter, no relay, the security protocols in the
// order of preference. Ports are not shared, so that a port in use is an error and not half of somebody's connections.
func newHost(seed [32]byte, m *meter, g *guard, security ...libp2p.Option) (host.Host, error) {
	key, err := libp2pKey(seed)
	if err != nil {
		return nil, err
	}
	resources, err := newResources()
	if err != nil {
		return nil, err
	}
	out := &ownHost{}
	out.Host, err = libp2p.New(
		libp2p.ResourceManager(resources),
		libp2p.Identity(key),
		libp2p.NoListenAddrs,
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(quic.NewTransport),
		libp2p.QUICReuse(func(reset quicgo.StatelessResetKey, token quicgo.TokenGeneratorKey) (_ *quicreuse.ConnManager, err error) {
			out.quic, err = quicreuse.NewConnManager(reset, token, quicreuse.OverrideListenUDP(m.listenUDP))
			return out.quic, err
		}),
		libp2p.ChainOptions(security...),
		libp2p.SwarmOpts(libp2pswarm.WithDialRanker(m.rank)),
		libp2p.ConnectionGater(g),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.Ping(false),
		libp2p.UserAgent("skein"),
	)
	if err != nil {
		return nil, errors.Join(err, out.closeQUIC())
	}
	return out, nil
}

// rank orders a peer's addresses for dialling. A cap on what is received holds on TCP only, so that QUIC has to wait.
func (m *meter) rank(addrs []multiaddr.Multiaddr) []network.AddrDelay {
	out := libp2pswarm.DefaultDialRanker(addrs)
	if m.down == nil {
		return out
	}
	for i := range out {
		out[i].Delay = 0
		if _, err := out[i].Addr.ValueForProtocol(multiaddr.P_UDP); err == nil {
			out[i].Delay = 2 * time.Second
		}
	}
	slices.SortStableFunc(out, func(a, b network.AddrDelay) int { return cmp.Compare(a.Delay, b.Delay) })
	return out
}

// withTLS is for nodes' own traffic: AES is in hardware on most machines.
func withTLS(m *meter) libp2p.Option {
	return libp2p.Security(libp2ptls.ID, func(id protocol.ID, key crypto.PrivKey, muxers []tptu.StreamMuxer) (sec.SecureTransport, error) {
		t, err := libp2ptls.New(id, key, muxers)
		return secured{t, m}, err
	})
}

// withNoise needs no certificates, and so no clock that is right.
func withNoise(m *meter) libp2p.Option {
	return libp2p.Security(noise.ID, func(id protocol.ID, key crypto.PrivKey, muxers []tptu.StreamMuxer) (sec.SecureTransport, error) {
		t, err := noise.New(id, key, muxers)
		return secured{t, m}, err
	})
}

// ownHost closes the QUIC sockets with the host: libp2p does that only for those that it set up by itself.
type ownHost struct {
	host.Host
	quic *quicreuse.ConnManager
}

// Close implements host.Host.
func (h *ownHost) Close() error { return errors.Join(h.Host.Close(), h.closeQUIC()) }

func (h *ownHost) closeQUIC() error {
	if h.quic == nil {
		return nil
	}
	return h.quic.Close()
}

// listenOn opens the listening sockets one by one, so that an error names its address.
func listenOn(h host.Host, addrs []string) error {
	for _, a := range addrs {
		addr, err := multiaddr.NewMultiaddr(a)
		if err != nil {
			return fmt.Errorf("swarm.listen %s: %w", a, err)
		}
		if err := h.Network().Listen(addr); err != nil {
			return inUse(a, err)
		}
	}
	return nil
}

// inUse explains the commonest reason why a node does not start. libp2p hands on the text of the system's error only.
func inUse(addr string, err error) error {
	for _, text := range []string{"address already in use", "Only one usage of each socket address"} {
		if strings.Contains(err.Error(), text) {
			return fmt.Errorf("swarm.listen %s: another program uses this port: end it, choose another port, or write tcp/0 (udp/0) for any free one", addr)
		}
	}
	return fmt.Errorf("swarm.listen %s: %w", addr, err)
}
