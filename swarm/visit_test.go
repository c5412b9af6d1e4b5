package swarm

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/multiformats/go-multistream"
	"github.com/skein-train/skein/aggregator"
)

func TestFetchRun(t *testing.T) {
	for _, at := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		w := &world{t: t, pace: quick(), log: aggregator.NewMemoryLog(), welcome: []byte("name: test\n"), listen: at}
		w.found(plain(1, 1000))
		w.open(0)
		got, err := FetchRun(t.Context(), w.home.Addrs())
		if err != nil {
			t.Fatal(err)
		}
		if got.Run.Hash() != w.run.Hash() || !bytes.Equal(got.Welcome, w.welcome) || got.Peer != w.home.ID() || got.Ahead.Abs() > time.Minute {
			t.Errorf("%+v", got)
		}
	}
}

// door is a listener whose every connection is handled by answer.
func door(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port)
}

// tlsDoor does libp2p's TLS handshake with a certificate of the given age.
func tlsDoor(t *testing.T, who int, notBefore time.Time) string {
	t.Helper()
	key, err := libp2pKey(seed(who))
	if err != nil {
		t.Fatal(err)
	}
	id, err := libp2ptls.NewIdentity(key, libp2ptls.WithCertTemplate(&x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: notBefore, NotAfter: notBefore.Add(100 * 365 * 24 * time.Hour),
	}))
	if err != nil {
		t.Fatal(err)
	}
	return door(t, func(c net.Conn) {
		mux := multistream.NewMultistreamMuxer[protocol.ID]()
		mux.AddHandler(libp2ptls.ID, nil)
		if _, _, err := mux.Negotiate(c); err != nil {
			return
		}
		config, _ := id.ConfigForPeer("")
		config.NextProtos = []string{"/yamux/1.0.0", "libp2p"}
		_ = tls.Server(c, config).Handshake()
	})
}

func name(t *testing.T, who int) string {
	t.Helper()
	id, err := netID(aggregator.NewSigner(seed(who)).ID)
	if err != nil {
		t.Fatal(err)
	}
	return "/p2p/" + id.String()
}

// Every reason why a peer cannot be asked is told apart, in one sentence of one line.
func TestVisitsFailWithAReason(t *testing.T) {
	w := newWorld(t, 0, 1, 1000)
	plainHost, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false))
	if err != nil {
		t.Fatal(err)
	}
	defer plainHost.Close()
	stranger := fmt.Sprintf("%s/p2p/%s", plainHost.Addrs()[0], plainHost.ID())
	forged := w.run
	forged.Name = "mine"
	liar := liarHost(t, 70, protocolRun, func(s network.Stream) {
		b := forged.Encode()
		_, _ = s.Write(append(binary.LittleEndian.AppendUint32(make([]byte, 8), uint32(len(b))), b...))
	})
	babbler := liarHost(t, 71, protocolRun, func(s network.Stream) { _, _ = s.Write(bytes.Repeat([]byte{0xff}, 100)) })
	early := liarHost(t, 73, protocolRun, func(s network.Stream) {
		b := w.run.Encode()
		at := binary.LittleEndian.AppendUint64(nil, uint64(time.Now().Add(-2*time.Hour).UnixMilli()))
		_, _ = s.Write(append(append(binary.LittleEndian.AppendUint32(at, uint32(len(b))), b...), 0, 0, 0, 0))
	})
	hole := door(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<16)); _, _ = c.Read(make([]byte, 1)) })
	seat, _, _ := strings.Cut(w.home.Addrs()[0], "/p2p/")

	for what, c := range map[string]struct {
		addr string
		want error
	}{
		"nonsense":               {"hello", ErrAddress},
		"no identity":            {"/ip4/127.0.0.1/tcp/1", ErrAddress},
		"identity only":          {name(t, 1), ErrAddress},
		"nobody there":           {"/ip4/127.0.0.1/tcp/1" + name(t, 1), ErrUnreachable},
		"silence":                {hole + name(t, 1), ErrUnreachable},
		"a web server":           {door(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }) + name(t, 1), ErrNoSkein},
		"somebody else":          {seat + name(t, 1), ErrIdentity},
		"another program":        {stranger, ErrNoSkein},
		"a forged manifest":      {liar, ErrForged},
		"garbage":                {babbler, ErrForged},
		"their clock is ahead":   {tlsDoor(t, 72, time.Now().Add(2*time.Hour)) + name(t, 72), ErrClock},
		"our clock is ahead":     {early, ErrClock},
		"no address is given":    {"", ErrAddress},
		"a hundred kilobytes of": {strings.Repeat("/x", 50_000), ErrAddress},
	} {
		t.Run(what, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			addrs := []string{c.addr}
			if c.addr == "" {
				addrs = nil
			}
			_, err := FetchRun(ctx, addrs)
			var told *Trouble
			if !errors.Is(err, c.want) || !errors.As(err, &told) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 600 {
				t.Errorf("%T %v, want %v", err, err, c.want)
			} else {
				t.Log(err)
			}
			if told != nil && told.Cause != nil {
				t.Logf("cause: %.300v", told.Cause)
			}
		})
	}
}

// liarHost is a libp2p host with one handler of its own.
func liarHost(t *testing.T, who int, id protocol.ID, answer func(network.Stream)) string {
	t.Helper()
	key, err := libp2pKey(seed(who))
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	h.SetStreamHandler(id, func(s network.Stream) { answer(s); _ = s.Close() })
	return fmt.Sprintf("%s/p2p/%s", h.Addrs()[0], h.ID())
}
