package swarm

import (
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	tptu "github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
)

// newHost makes a libp2p host that does not listen yet: TCP and QUIC on the meter, TLS before Noise (AES is in hardware
// on most machines), no relay. Ports are not shared, so that a port in use is an error and not half of somebody's connections.
func newHost(seed [32]byte, m *meter, g *guard) (host.Host, error) {
	key, err := libp2pKey(seed)
	if err != nil {
		return nil, err
	}
	return libp2p.New(
		libp2p.Identity(key),
		libp2p.NoListenAddrs,
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(quic.NewTransport),
		libp2p.QUICReuse(quicreuse.NewConnManager, quicreuse.DisableReuseport(), quicreuse.OverrideListenUDP(m.listenUDP)),
		libp2p.Security(libp2ptls.ID, func(id protocol.ID, key crypto.PrivKey, muxers []tptu.StreamMuxer) (sec.SecureTransport, error) {
			t, err := libp2ptls.New(id, key, muxers)
			return secured{t, m}, err
		}),
		libp2p.Security(noise.ID, func(id protocol.ID, key crypto.PrivKey, muxers []tptu.StreamMuxer) (sec.SecureTransport, error) {
			t, err := noise.New(id, key, muxers)
			return secured{t, m}, err
		}),
		libp2p.ConnectionGater(g),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.Ping(false),
		libp2p.UserAgent("skein"),
	)
}

// listenOn opens the listening sockets one by one, so that an error names its address.
func listenOn(h host.Host, addrs []string) error {
	for _, a := range addrs {
		addr, err := multiaddr.NewMultiaddr(a)
		if err != nil {
			return inUse(a, err)
		}
		if err := h.Network().Listen(addr); err != nil {
			return inUse(a, err)
		}
	}
	return nil
}
