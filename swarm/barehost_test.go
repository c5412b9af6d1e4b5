package swarm

import (
	"errors"
	"strings"
	"testing"
)

func TestBareHostsMeet(t *testing.T) {
	a, err := NewBareHost([]string{"/ip4/127.0.0.1/tcp/0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := NewBareHost(nil, NewCaps(1<<20, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	nobody := strings.Replace(a.Addrs()[0], "127.0.0.1/tcp", "127.0.0.1/udp", 1)
	if err := b.Connect(t.Context(), []string{"/ip4/127.0.0.1"}); !errors.Is(err, ErrAddress) {
		t.Errorf("no address of a peer: error %v", err)
	}
	if err := b.Connect(t.Context(), []string{nobody}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody there: error %v", err)
	}
	if err := b.Connect(t.Context(), a.Addrs()); err != nil {
		t.Fatal(err)
	}
	if sent, received := b.Traffic(); sent == 0 || received == 0 || len(b.Addrs()) > 0 {
		t.Errorf("sent %d, received %d, listens on %v", sent, received, b.Addrs())
	}
	if _, err := NewBareHost([]string{a.Addrs()[0][:strings.Index(a.Addrs()[0], "/p2p/")]}, nil); err == nil || !strings.Contains(err.Error(), "another program uses this port") {
		t.Errorf("a port in use: error %v", err)
	}
}
