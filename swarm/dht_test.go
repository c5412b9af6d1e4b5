package swarm

import (
	"crypto/sha256"
	"strings"
	"testing"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	dht "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"
)

// table is a hash table of a few servers on this machine, and the address of one of them.
func table(t *testing.T, servers int) (introducer []string) {
	t.Helper()
	for range servers {
		h := bareHost(t, "/ip4/127.0.0.1/tcp/0")
		if len(introducer) > 0 {
			if err := h.Connect(t.Context(), introducer); err != nil {
				t.Fatal(err)
			}
		}
		server, err := kad.New(h.host, kad.Mode(kad.ModeServer), kad.DisableAutoRefresh())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		})
		if introducer == nil {
			introducer = h.Addrs()
		}
	}
	return introducer
}

func bareHost(t *testing.T, listen ...string) *BareHost {
	t.Helper()
	h, err := NewBareHost(listen, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestProvidersAreFound(t *testing.T) {
	introducer := table(t, 3)
	w := newWorld(t, 0, 1, 1000)
	has, seeks := w.node(9, w.dir(9)), bareHost(t)
	hash := sha256.Sum256([]byte("a checkpoint"))
	if err := seeks.Find(t.Context(), hash, introducer); err == nil || !strings.Contains(err.Error(), "3 peers of the hash table have been asked") {
		t.Errorf("before it is told: error %v", err)
	}
	if told, err := has.Provide(t.Context(), hash, introducer); err != nil || told != 3 {
		t.Fatalf("%d told, error %v", told, err)
	}
	if left := has.host.Network().Peers(); len(left) > 0 {
		t.Errorf("still connected to %v", left)
	}
	if err := seeks.Find(t.Context(), hash, introducer); err != nil {
		t.Fatal(err)
	}
	if seeks.host.Network().Connectedness(has.host.ID()) != network.Connected || len(seeks.host.Network().Peers()) != 1 {
		t.Errorf("connected to %v, expected only the provider", seeks.host.Network().Peers())
	}
}

func TestNobodyToTell(t *testing.T) {
	w := newWorld(t, 0, 1, 1000)
	has, silent := w.node(9, w.dir(9)), bareHost(t, "/ip4/127.0.0.1/tcp/0")
	if told, err := has.Provide(t.Context(), [32]byte{}, silent.Addrs()); err == nil || told > 0 || !strings.Contains(err.Error(), "has answered") {
		t.Errorf("%d told, error %v", told, err)
	}
	if _, err := has.Provide(t.Context(), [32]byte{}, []string{"nowhere"}); err == nil {
		t.Error("an introducer without an address is taken")
	}
}

// A liar's answer makes the walk neither long nor dial where it should not.
func TestWalkOfLies(t *testing.T) {
	h := bareHost(t)
	w, err := newWalk(t.Context(), h.host, [32]byte{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	lie := &dht.Message{}
	for i := range 100 {
		id := sha256.Sum256([]byte{byte(i)})
		addr := []byte{4, 10, 0, 0, 1, 6, 1, 1} // /ip4/10.0.0.1/tcp/257
		if i%2 == 0 {
			addr = []byte{4, 8, 8, 8, 8, 6, 1, 1}
		}
		p := &dht.Message_Peer{Id: append([]byte{0x12, 32}, id[:]...), Addrs: [][]byte{addr, {255}, nil}}
		lie.CloserPeers, lie.ProviderPeers = append(lie.CloserPeers, p, &dht.Message_Peer{}), append(lie.ProviderPeers, p, &dht.Message_Peer{})
	}
	w.learn(lie)
	w.learn(nil)
	if len(w.stops) == 0 || len(w.stops) > 2*dhtWidth || len(w.providers) != dhtEnough {
		t.Errorf("%d stops, %d providers", len(w.stops), len(w.providers))
	}
	for _, s := range w.stops {
		if !strings.HasPrefix(s.Addrs[0].String(), "/ip4/8.8.8.8/") {
			t.Errorf("would dial %v", s.Addrs)
		}
	}
}

func FuzzWalk(f *testing.F) {
	h, err := NewBareHost(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = h.Close() })
	f.Add([]byte{}, false)
	f.Add([]byte{0x42, 0x0c, 0x0a, 0x00, 0x12, 0x08, 4, 8, 8, 8, 8, 6, 1, 1}, true)
	f.Fuzz(func(t *testing.T, b []byte, near bool) {
		answer := &dht.Message{}
		if proto.Unmarshal(b, answer) != nil {
			return
		}
		w := &walk{host: h.host, near: near}
		w.learn(answer)
		if len(w.stops) > 2*dhtWidth || len(w.providers) > dhtEnough {
			t.Errorf("%d stops, %d providers", len(w.stops), len(w.providers))
		}
	})
}
