package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/skein-train/skein/aggregator"
)

func TestSeedIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "seed")
	a, err := LoadOrCreateSeed(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadOrCreateSeed(path)
	if err != nil || a != b || a == [32]byte{} {
		t.Errorf("seeds %x and %x, %v", a, b, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, a[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateSeed(path); err == nil {
		t.Error("a damaged seed was accepted")
	}
}

func TestIdentitiesTranslate(t *testing.T) {
	id := aggregator.NewSigner(seed(1)).ID
	there, err := netID(id)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := peerID(there); err != nil || back != id {
		t.Errorf("%v became %v, %v", id, back, err)
	}
}

func TestPortInUse(t *testing.T) {
	w := newWorld(t, 0, 1, 1000)
	o := w.home.Options
	o.Seed, o.Dir = seed(9), t.TempDir()
	taken, _, _ := strings.Cut(w.home.Addrs()[0], "/p2p/")
	o.Listen = []string{taken}
	if n, err := Listen(t.Context(), o); err == nil || !strings.Contains(err.Error(), taken) || !strings.Contains(err.Error(), "tcp/0") {
		t.Errorf("listening on a port in use: %v, %v", n, err)
	}
	o.Listen = []string{"nonsense"}
	if _, err := Listen(t.Context(), o); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("listening on nonsense: %v", err)
	}
}

// Close gives the port back; that no goroutine is left is checked for the whole package.
func TestCloseGivesBackThePort(t *testing.T) {
	for name, end := range map[string]func(*Node){"close": func(n *Node) { _ = n.Close() }, "kill": (*Node).Kill} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, 1, 1000)
			addr, _, _ := strings.Cut(w.nodes[0].Addrs()[0], "/p2p/")
			var port int
			if _, err := fmt.Sscanf(addr, "/ip4/127.0.0.1/tcp/%d", &port); err != nil {
				t.Fatal(err)
			}
			end(w.nodes[0])
			end(w.nodes[0]) // again is harmless
			l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
			if err != nil {
				t.Fatal(err)
			}
			_ = l.Close()
			eventually(t, "the other side to notice", func() bool {
				return w.home.host.Network().Connectedness(w.nodes[0].host.ID()) != network.Connected
			})
			x := &Exchange{n: w.nodes[0], offers: map[aggregator.Seq]*offer{}}
			h := w.contribution(1, 1, 10).SignedHeader
			if _, err := x.Open(t.Context(), &h); !errors.Is(err, errClosed) {
				t.Errorf("opening a payload on a closed node: %v", err)
			}
		})
	}
}

func TestRoundsOverQUIC(t *testing.T) {
	w := &world{t: t, pace: quick(), log: aggregator.NewMemoryLog(), listen: "/ip4/127.0.0.1/udp/0/quic-v1"}
	w.found(plain(2, 600_000))
	w.open(2)
	w.runAll(2, 600_000)
	sent, received := w.nodes[0].Traffic()
	if sent < 600_000 || received < 2*600_000 {
		t.Errorf("%d bytes sent, %d received: less than the payloads", sent, received)
	}
}

// A connection on which gossipsub does not hear the peer is closed and made anew.
func TestDeafConnectionsAreMadeAnew(t *testing.T) {
	w := newWorld(t, 0, 1, 600_000)
	mute, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	mute.SetStreamHandler(pubsub.GossipSubID_v12, func(s network.Stream) { _, _ = io.Copy(io.Discard, s) })
	if err := w.home.Connect(t.Context(), []string{fmt.Sprintf("%s/p2p/%s", mute.Addrs()[0], mute.ID())}); err != nil {
		t.Fatal(err)
	}
	other, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	home, err := addrInfos(w.home.Addrs())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Connect(t.Context(), home[0]); err != nil { // no business with gossip: left alone
		t.Fatal(err)
	}
	stays := other.Network().Conns()[0]
	before := mute.Network().Conns()[0]
	eventually(t, "another connection", func() bool {
		now := mute.Network().Conns()
		return len(now) > 0 && now[0] != before
	})
	if now := other.Network().Conns(); len(now) != 1 || now[0] != stays {
		t.Error("the connection of a peer without gossipsub was closed")
	}
}

// A worker that the log does not know asks for a seat and gets it with the next certificate; when it says goodbye, the
// next round does not wait for it.
func TestJoinAndLeave(t *testing.T) {
	w := newWorld(t, 1, 4, 600_000)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	second := aggregator.NewSigner(seed(2)).ID
	w.add(2)
	asked := make(chan struct{}, 8)
	w.home.mu.Lock()
	obey := w.home.onNotice
	w.home.onNotice = func(m *notice) { obey(m); asked <- struct{}{} }
	w.home.mu.Unlock()
	<-asked
	if err := w.exchanges[0].Offer(ctx, w.contribution(1, 1, 1000)); err != nil {
		t.Fatal(err)
	}
	c, err := w.exchanges[1].Next(ctx, 0)
	if err != nil || len(c.Joined) != 1 || c.Joined[0].Peer != second {
		t.Fatalf("round 1 admits %v, %v", c.Joined, err)
	}
	w.runFrom(2, 2, 1000)
	left := make(chan error)
	go func() { left <- w.exchanges[1].Leave(ctx) }()
	for s := aggregator.Seq(3); s <= 4; s++ { // no time passes: the rounds must close without the second
		eventually(t, "nobody to wait for but the first", func() bool { return len(w.committee.Waiting()) == 1 })
		if err := w.exchanges[0].Offer(ctx, w.contribution(1, s, 1000)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.exchanges[0].Next(ctx, s-1); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-left; err != nil {
		t.Error(err)
	}
}

// The committee comes back from its log, and goes on where it was.
func TestCommitteeRestarts(t *testing.T) {
	w := &world{t: t, pace: quick()}
	w.found(plain(4, 600_000))
	path := filepath.Join(t.TempDir(), "log")
	log := openLog(t, path)
	w.log = log
	w.open(2)
	w.runAll(2, 300_000)
	w.home.Kill()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	w.log = openLog(t, path)
	w.home = w.node(0, w.dir(0))
	w.preside(nil)
	for _, n := range w.nodes {
		if err := n.Connect(t.Context(), w.home.Addrs()); err != nil {
			t.Fatal(err)
		}
	}
	w.runFrom(3, 4, 300_000)
}

// What was offered before everybody went down is published again, though its workers have trained on and will not offer it once more: a run would wait for it for
// ever.
func TestOffersOutliveEverybody(t *testing.T) {
	for name, change := range map[string]func(*aggregator.Manifest){
		"several under way": func(m *aggregator.Manifest) { m.Schedule.Delay = 1 },
		"asynchronous":      func(m *aggregator.Manifest) { m.MaxStaleness = 8 },
		"pairs":             func(m *aggregator.Manifest) { m.Topology = aggregator.Pair },
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, pace: quick(), log: aggregator.NewMemoryLog()}
			m := plain(4, 600_000)
			change(&m)
			w.found(m)
			w.open(2)
			w.home.Kill()
			for i, x := range w.exchanges {
				if err := x.Offer(t.Context(), w.contribution(i+1, 1, 300_000)); err != nil {
					t.Fatal(err)
				}
				w.nodes[i].Kill()
			}
			w.home = w.node(0, w.dir(0))
			w.preside(nil)
			w.nodes, w.exchanges = nil, nil
			w.add(1)
			w.add(2)
			rounds := aggregator.Seq(1)
			if m.MaxStaleness > 0 {
				rounds = 2
			}
			if c, err := w.home.Certificate(t.Context(), rounds); err != nil || len(c.List)*int(rounds) != 2 {
				t.Errorf("%v, %v", c, err)
			}
		})
	}
}

// brokenLog fails like a full disk.
type brokenLog struct {
	aggregator.Log
	full bool
}

func (l *brokenLog) Append(ctx context.Context, i uint64, e aggregator.Entry) error {
	if l.full {
		return errors.New("no space left on device")
	}
	return l.Log.Append(ctx, i, e)
}

func TestFullDiskSignsNothing(t *testing.T) {
	w := &world{t: t, pace: quick()}
	w.found(plain(2, 600_000))
	log := &brokenLog{Log: aggregator.NewMemoryLog()}
	w.log = log
	w.open(1)
	w.runAll(1, 1000)
	_ = w.committee.do(t.Context(), func(*aggregator.Rounds) { log.full = true })
	if err := w.exchanges[0].Offer(t.Context(), w.contribution(1, 2, 1000)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the committee to abstain", func() bool { return w.committee.Err() != nil })
	if tip := w.home.ledger.tip(); tip.Seq != 1 {
		t.Errorf("certificate %d was signed on a full disk", tip.Seq)
	}
}

// A payload that its check refuses is not counted; the others are.
func TestRefusedPayloadIsNotCounted(t *testing.T) {
	w := newWorld(t, 2, 1, 300)
	bad := aggregator.NewSigner(seed(2)).ID
	w.check = func(h *aggregator.SignedHeader, _ []byte) error {
		if h.Worker == bad {
			return errors.New("no such codec")
		}
		return nil
	}
	w.runAll(1, 1000)
	c, err := w.exchanges[0].Next(t.Context(), 0)
	if _, counted := c.Counts(bad); err != nil || counted || len(c.List) != 1 {
		t.Errorf("%d counted, the refused one: %v, %v", len(c.List), counted, err)
	}
}

func TestPruneKeepsWhatComesAfter(t *testing.T) {
	w := newWorld(t, 2, 3, 600_000)
	w.runAll(3, 1000)
	x := w.exchanges[0]
	if err := x.Prune(3); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(w.nodes[0].depot.dir)
	if err != nil || len(left) != 1 || left[0].Name() != "3" {
		t.Errorf("rounds on disk: %v, %v", left, err)
	}
	if c, err := x.Next(t.Context(), 0); err != nil || c.Seq != 1 {
		t.Errorf("certificate 1 after pruning: %v", err)
	}
}

// A payload whose file was damaged while the node was down is fetched again.
func TestDamagedPayloadIsFetchedAgain(t *testing.T) {
	w := newWorld(t, 2, 2, 600_000)
	w.runAll(1, 300_000)
	c, err := w.exchanges[0].Next(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(w.dirs[1], "rounds", "1", strings.Repeat("?", 64)))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		b[1000]++
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) != 2 {
		t.Fatalf("payloads on disk: %v", files)
	}
	x := w.restart(1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, e := range c.List {
		if err := openAll(ctx, x, &e.SignedHeader); err != nil {
			t.Error(err)
		}
	}
}
