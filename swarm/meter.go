package swarm

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"golang.org/x/net/ipv4"
)

// meter sits between a node and its sockets: it counts the bytes, applies the caps, and can cut everything at once.
type meter struct {
	ctx            context.Context
	up, down       *bucket
	sent, received atomic.Uint64

	mu   sync.Mutex
	open map[net.PacketConn]struct{}
	tcp  map[net.Conn]struct{}
}

func newMeter(ctx context.Context, caps *Caps) *meter {
	m := &meter{ctx: ctx, open: map[net.PacketConn]struct{}{}, tcp: map[net.Conn]struct{}{}}
	if caps != nil {
		m.up, m.down = caps.up, caps.down
	}
	return m
}

// cut closes every socket without goodbye: TCP peers get a reset.
func (m *meter) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.tcp {
		abort(c)
	}
	for c := range m.open {
		_ = c.Close()
	}
}

func abort(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.Close()
}

// secured hands the security transport metered connections, so that every byte behind the choice of the protocol counts.
type secured struct {
	sec.SecureTransport
	m *meter
}

func (s secured) SecureInbound(ctx context.Context, c net.Conn, p peer.ID) (sec.SecureConn, error) {
	return s.SecureTransport.SecureInbound(ctx, s.m.conn(c), p)
}

func (s secured) SecureOutbound(ctx context.Context, c net.Conn, p peer.ID) (sec.SecureConn, error) {
	return s.SecureTransport.SecureOutbound(ctx, s.m.conn(c), p)
}

func (m *meter) conn(c net.Conn) net.Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tcp[c] = struct{}{}
	m.narrow(c)
	m.up.charge(greeting)
	m.down.charge(greeting)
	return &meteredConn{c, m}
}

// meteredConn is a TCP connection on a meter.
type meteredConn struct {
	net.Conn
	m *meter
}

func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(c.m.down.piece(p))
	c.m.received.Add(uint64(n))
	c.m.up.charge(acks(n))
	c.m.down.pay(c.m.ctx, cost(n)) // after the read: TCP's window pushes back on the sender meanwhile
	return n, err
}

func (c *meteredConn) Write(p []byte) (written int, err error) {
	for first := true; first || len(p) > 0 && err == nil; first = false {
		piece := c.m.up.piece(p)
		c.m.up.pay(c.m.ctx, cost(len(piece)))
		c.m.down.charge(acks(len(piece)))
		var n int
		n, err = c.Conn.Write(piece)
		c.m.sent.Add(uint64(n))
		written, p = written+n, p[len(piece):]
	}
	return written, err
}

func (c *meteredConn) Close() error {
	c.m.mu.Lock()
	delete(c.m.tcp, c.Conn)
	c.m.mu.Unlock()
	return c.Conn.Close()
}

// listenUDP opens a metered socket for QUIC.
func (m *meter) listenUDP(network string, at *net.UDPAddr) (net.PacketConn, error) {
	c, err := net.ListenUDP(network, at)
	if err != nil {
		return nil, err
	}
	out := &meteredUDP{UDPConn: c, batch: ipv4.NewPacketConn(c), m: m}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open[c] = struct{}{}
	return out, nil
}

// meteredUDP is a UDP socket on a meter. quic-go takes packets in batches where the system can do that, through ReadBatch,
// and one by one elsewhere. Bytes are those of the datagrams, without IP and UDP headers.
type meteredUDP struct {
	*net.UDPConn
	batch  *ipv4.PacketConn
	m      *meter
	narrow sync.Once // before the first read: quic-go makes the buffers as large as it can before that
}

func (c *meteredUDP) in(n int) {
	c.m.received.Add(uint64(n))
	c.m.down.pay(c.m.ctx, cost(n))
}

func (c *meteredUDP) out(n int) { c.m.sent.Add(uint64(n)) }

// ReadBatch implements quic-go's batched reading.
func (c *meteredUDP) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	c.narrow.Do(func() { c.m.narrow(c.UDPConn) })
	n, err := c.batch.ReadBatch(ms, flags)
	total := 0
	for i := range max(n, 0) {
		total += ms[i].N
	}
	c.in(total)
	return n, err
}

// ReadMsgUDP implements quic-go's OOBCapablePacketConn.
func (c *meteredUDP) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	c.narrow.Do(func() { c.m.narrow(c.UDPConn) })
	n, oobn, flags, addr, err = c.UDPConn.ReadMsgUDP(b, oob)
	c.in(n)
	return n, oobn, flags, addr, err
}

// WriteMsgUDP implements quic-go's OOBCapablePacketConn.
func (c *meteredUDP) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	c.m.up.pay(c.m.ctx, cost(len(b)))
	n, oobn, err = c.UDPConn.WriteMsgUDP(b, oob, addr)
	c.out(n)
	return n, oobn, err
}

// ReadFrom implements net.PacketConn.
func (c *meteredUDP) ReadFrom(b []byte) (int, net.Addr, error) {
	n, addr, err := c.UDPConn.ReadFrom(b)
	c.in(n)
	return n, addr, err
}

// WriteTo implements net.PacketConn.
func (c *meteredUDP) WriteTo(b []byte, addr net.Addr) (int, error) {
	c.m.up.pay(c.m.ctx, cost(len(b)))
	n, err := c.UDPConn.WriteTo(b, addr)
	c.out(n)
	return n, err
}

// Close implements net.PacketConn.
func (c *meteredUDP) Close() error {
	c.m.mu.Lock()
	delete(c.m.open, c.UDPConn)
	c.m.mu.Unlock()
	return c.UDPConn.Close()
}
