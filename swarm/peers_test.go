package swarm

import (
	"bytes"
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/zeroconf/v2"
	"github.com/multiformats/go-multiaddr"
	"github.com/skein-train/skein/aggregator"
	"pgregory.net/rapid"
)

func (n *Node) meets(other *Node) bool {
	return n.host.Network().Connectedness(other.host.ID()) == network.Connected
}

// A joiner that knows one address is soon connected to everybody, and finds them again when that address is gone.
func TestPeersAreFoundThroughOne(t *testing.T) {
	w := newWorld(t, 2, 1, 600_000)
	dir := t.TempDir()
	joiner := w.node(3, dir)
	if err := joiner.Connect(t.Context(), w.home.Addrs()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "connections to both workers", func() bool { return joiner.meets(w.nodes[0]) && joiner.meets(w.nodes[1]) })
	eventually(t, "the file", func() bool {
		b, _ := os.ReadFile(joiner.contactsPath())
		cs, err := decodeContacts(b)
		return err == nil && len(cs) == 3
	})
	seat := w.home.Addrs()
	_ = w.home.Close()
	_ = joiner.Close()
	again := w.node(3, dir)
	if err := again.Connect(t.Context(), seat); err != nil {
		t.Errorf("nobody was remembered: %v", err)
	}
	eventually(t, "the workers of before", func() bool { return again.meets(w.nodes[0]) && again.meets(w.nodes[1]) })
}

// Who is no member is not dialled, whatever others say of it; and a damaged file is no file.
func TestOnlyMembersAreIntroduced(t *testing.T) {
	w := newWorld(t, 1, 1, 600_000)
	outsider := w.node(9, t.TempDir())
	if err := outsider.Connect(t.Context(), w.home.Addrs()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a meeting", func() bool { return w.home.meets(outsider) })
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/peers", bytes.Repeat([]byte{7}, 200_000), 0o600); err != nil {
		t.Fatal(err)
	}
	joiner := w.node(3, dir)
	if err := joiner.Connect(t.Context(), w.home.Addrs()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the worker", func() bool { return joiner.meets(w.nodes[0]) })
	for _, c := range w.home.contacts(true) {
		if c.id == outsider.ID() {
			t.Error("the seat introduces a peer that is no member")
		}
	}
	joiner.roads.introduce(outsider.ID(), []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")})
	joiner.roads.forget(joiner.ledger.members())
	if joiner.roads.knows(outsider) {
		t.Error("a peer that is no member is looked for")
	}
}

func (r *roads) knows(n *Node) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[n.host.ID()] != nil
}

func TestDialableAddresses(t *testing.T) {
	for a, want := range map[string]bool{
		"/ip4/192.0.2.1/tcp/4001":              true,
		"/ip6/2001:db8::1/udp/4001/quic-v1":    true,
		"/ip4/127.0.0.1/tcp/4001":              false,
		"/ip4/0.0.0.0/tcp/4001":                false,
		"/dns4/example.org/tcp/4001":           false,
		"/ip4/192.0.2.1/tcp/4001/ws":           false,
		"/ip4/192.0.2.1/udp/4001":              false,
		"/ip4/192.0.2.1/tcp/4001/p2p-circuit":  false,
		"/unix/" + "x":                         false,
		"/ip4/192.0.2.1/udp/1/quic-v1/tcp/222": false,
	} {
		if got := len(dialable([]multiaddr.Multiaddr{multiaddr.StringCast(a)}, false)) == 1; got != want {
			t.Errorf("%s: dialable %v, want %v", a, got, want)
		}
	}
	if len(dialable([]multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/4001")}, true)) != 1 {
		t.Error("the loopback is not dialable from itself")
	}
}

func FuzzContacts(f *testing.F) {
	a := multiaddr.StringCast("/ip4/192.0.2.1/tcp/4001")
	f.Add(encodeContacts([]contact{{id: aggregator.NewSigner(seed(1)).ID, addrs: []multiaddr.Multiaddr{a, a}}, {}}))
	f.Add([]byte{64, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		cs, err := decodeContacts(b)
		if err != nil {
			return
		}
		again, err := decodeContacts(encodeContacts(cs))
		if err != nil || len(again) != len(cs) {
			t.Errorf("%x does not come back: %v", b, err)
		}
	})
}

// What is announced is what is found, on this machine's own multicast where it has one.
func TestRunsAreFoundOnTheLocalNetwork(t *testing.T) {
	w := newWorld(t, 0, 1, 1000)
	o := w.home.Options
	o.Seed, o.Dir, o.Announce = seed(60), t.TempDir(), "tiny \x1b[31m swarm Ü"
	n, err := listen(t.Context(), o, quick())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if n.hush == nil {
		t.Skip("no interface for multicast")
	}
	found, err := Discover(t.Context(), 2*time.Second)
	if err != nil || len(found) == 0 {
		t.Skipf("multicast does not come back here: %v", err)
	}
	i := slices.IndexFunc(found, func(f Found) bool { return f.Addrs[0] == n.Addrs()[0] })
	if i < 0 || found[i].Run != w.run.Hash() || found[i].Name != "tiny [31m swarm Ü" {
		t.Errorf("found %+v", found)
	}
}

func TestStrangeAnnouncementsAreLeftOut(t *testing.T) {
	w := newWorld(t, 0, 1, 1000)
	infos, _ := addrInfos(w.home.Addrs())
	good := lanText(w.run.Hash(), "good", infos[0].ID, infos[0].Addrs)
	browse := func(_ context.Context, out chan<- *zeroconf.ServiceEntry) error {
		for _, text := range [][]string{
			nil, {"skein=2"}, good[:2], good, good,
			{lanVersion, "run=00", good[3]}, {lanVersion, "run=" + string(make([]byte, 64)), good[3]},
			{lanVersion, good[1], "addr=/dns4/example.org/tcp/1" + name(t, 1)},
			{lanVersion, good[1], good[3], "addr=/ip4/192.0.2.1/tcp/1" + name(t, 1)},
			{lanVersion, good[1], "name=%zz", good[3]},
		} {
			out <- &zeroconf.ServiceEntry{Text: text}
		}
		close(out)
		return nil
	}
	found, err := gather(t.Context(), browse)
	if err != nil || len(found) != 1 || found[0].Name != "good" || found[0].Addrs[0] != w.home.Addrs()[0] {
		t.Errorf("found %+v, %v", found, err)
	}
}

// Names come back printable, short, and whole where they fit.
func TestNamesArePrintable(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.String().Draw(r, "name")
		run := aggregator.Hash{1}
		f, ok := readFound(append(lanText(run, s, "", nil), "addr=/ip4/192.0.2.1/tcp/1/p2p/12D3KooWLcciDRPJc8Qa2RhCahLT6yACTZdPgMtLYTSrSMGRQZt2"))
		if !ok || f.Name != printable(s) || f.Run != run || len([]rune(f.Name)) > lanName {
			r.Errorf("%q became %+v", s, f)
		}
	})
}

func FuzzFound(f *testing.F) {
	f.Add("run=00", "name=a", "addr=/ip4/192.0.2.1/tcp/1")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if f, ok := readFound([]string{lanVersion, a, b, c}); ok && (len(f.Addrs) > lanAddrs || len([]rune(f.Name)) > lanName) {
			t.Errorf("%+v", f)
		}
	})
}
