package cli

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// A run can be reached at a port of one's choice, whatever number of peers this machine has.
func TestOnePortForAll(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port)
	s := newSession(t, io.Discard, "", "swarm.listen=["+at+"]")
	if _, err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestFreePorts(t *testing.T) {
	got := freePorts([]string{"/ip4/0.0.0.0/tcp/4001", "/ip6/::/udp/4001/quic-v1", "/ip4/127.0.0.1/tcp/0"})
	if want := strings.Fields("/ip4/0.0.0.0/tcp/0 /ip6/::/udp/0/quic-v1 /ip4/127.0.0.1/tcp/0"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
