package swarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/skein-train/skein/aggregator"
)

// stranger is a peer with gossipsub and none of our checks.
type stranger struct {
	t      *testing.T
	host   host.Host
	topics map[string]*pubsub.Topic
}

func newStranger(t *testing.T, who int, to *Node) *stranger {
	t.Helper()
	key, err := libp2pKey(seed(who))
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	ps, err := pubsub.NewGossipSub(t.Context(), h, pubsub.WithMaxMessageSize(8<<20), pubsub.WithFloodPublish(true),
		pubsub.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{t: t, host: h, topics: map[string]*pubsub.Topic{}}
	for _, name := range []string{topicLog, topicHeaders, topicPayloads, topicParts} {
		if s.topics[name], err = ps.Join(name); err != nil {
			t.Fatal(err)
		}
		sub, err := s.topics[name].Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sub.Cancel)
	}
	infos, err := addrInfos(to.Addrs())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Connect(t.Context(), infos[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stranger to be heard", func() bool {
		for _, topic := range s.topics {
			if len(topic.ListPeers()) == 0 {
				return false
			}
		}
		return true
	})
	return s
}

func (s *stranger) publish(topic string, b []byte) {
	s.t.Helper()
	if err := s.topics[topic].Publish(s.t.Context(), b); err != nil {
		s.t.Fatal(err)
	}
}

// ask sends bytes on a direct stream and returns the first error of the exchange.
func (s *stranger) ask(to *Node, id protocol.ID, b []byte) error {
	st, err := s.host.NewStream(s.t.Context(), to.host.ID(), id)
	if err != nil {
		return err
	}
	defer st.Reset()
	_ = st.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := st.Write(b); err != nil {
		return err
	}
	if err := st.CloseWrite(); err != nil {
		return err
	}
	var out bytes.Buffer
	_, err = out.ReadFrom(st)
	return err
}

// eventually waits for a condition that the network brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick, end := time.NewTicker(5*time.Millisecond), time.NewTimer(20*time.Second)
	defer tick.Stop()
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// book is a log that tests can read.
type book struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *book) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *book) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

// Invalid messages of every kind: the sender is disconnected after a few, with one line in the log, and the rounds go on.
func TestInvalidMessagesCostTheConnection(t *testing.T) {
	w := newWorld(t, 2, 3, 600_000)
	genesis, err := w.exchanges[0].Genesis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := w.run.Hash()
	c := w.contribution(90, 1, 1000)
	forged := c.SignedHeader
	forged.Tokens++
	another := *genesis
	another.Cursor++
	stale := w.contribution(90, 1, 1000).Header
	stale.Base = 7
	badStale := aggregator.NewSigner(seed(90)).SignHeader(stale)
	join := &notice{kind: kindJoin}
	join.sign(aggregator.NewSigner(seed(1)), run) // another's name
	cases := map[string]struct {
		topic string
		bytes []byte
	}{
		"garbage":                 {topicLog, []byte("garbage")},
		"empty":                   {topicHeaders, nil},
		"other version":           {topicHeaders, append([]byte("SKM1\x02\x00\x05"), make([]byte, 400)...)},
		"kind on the wrong topic": {topicLog, seal(kindHeader, run, c.SignedHeader.Encode())},
		"unknown kind":            {topicLog, seal(99, run)},
		"truncated header":        {topicHeaders, seal(kindHeader, run, c.SignedHeader.Encode()[:100])},
		"forged header":           {topicHeaders, seal(kindHeader, run, forged.Encode())},
		"off the schedule":        {topicHeaders, seal(kindHeader, run, badStale.Encode())},
		"other payload":           {topicPayloads, seal(kindPayload, run, c.SignedHeader.Encode(), make([]byte, 1000))},
		"truncated payload":       {topicPayloads, seal(kindPayload, run, c.SignedHeader.Encode(), c.Bytes[:999])},
		"parts of a small one":    {topicPayloads, seal(kindParts, run, c.SignedHeader.Encode(), make([]byte, 96))},
		"another genesis":         {topicLog, seal(kindCertificate, run, another.Encode())},
		"truncated certificate":   {topicLog, seal(kindCertificate, run, genesis.Encode()[:50])},
		"notice of another":       {topicLog, seal(kindJoin, run, join.encode())},
		"truncated notice":        {topicLog, seal(kindJoin, run, join.encode()[:70])},
		"whole message for parts": {topicParts, seal(kindHeader, run, c.SignedHeader.Encode())},
	}
	for name, bad := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStranger(t, 90, w.home)
			before := w.home.guard.count(s.host.ID())
			s.publish(bad.topic, bad.bytes)
			eventually(t, "the offence", func() bool { return w.home.guard.count(s.host.ID()) > before })
			_ = s.host.Close()
			w.home.guard.pardon(s.host.ID())
		})
	}
	s := newStranger(t, 91, w.home)
	for range offences {
		s.publish(topicLog, []byte("garbage"))
	}
	eventually(t, "the disconnection", func() bool { return w.home.host.Network().Connectedness(s.host.ID()) != network.Connected })
	infos, _ := addrInfos(w.home.Addrs())
	if err := s.host.Connect(t.Context(), infos[0]); err == nil {
		eventually(t, "a rejected peer to be kept out", func() bool {
			return w.home.host.Network().Connectedness(s.host.ID()) != network.Connected
		})
	}
	w.runAll(3, 300_000)
	for _, n := range append(w.nodes, w.home) {
		for _, other := range append(w.nodes, w.home) {
			if k := n.guard.count(other.host.ID()); k > 0 {
				t.Errorf("%v counts %d offences of honest %v", n.ID(), k, other.ID())
			}
		}
	}
}

// A peer of another run is told about once and otherwise ignored.
func TestOtherRunsAreIgnored(t *testing.T) {
	var log book
	w := newWorld(t, 1, 2, 600_000)
	o := w.home.Options
	o.Seed, o.Dir, o.Log = seed(40), t.TempDir(), slog.New(slog.NewTextHandler(&log, nil))
	n, err := listen(t.Context(), o, quick())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	s := newStranger(t, 92, n)
	other := aggregator.Hash{1}
	for range 2 * offences {
		s.publish(topicLog, seal(kindJoin, other, make([]byte, noticeSize)))
	}
	_ = s.ask(n, protocolLog, append(other[:], make([]byte, 8)...))
	eventually(t, "the line in the log", func() bool { return log.count("another run") > 0 })
	s.publish(topicLog, []byte("garbage")) // behind the others: once it is judged, so are they
	eventually(t, "the last message", func() bool { return n.guard.count(s.host.ID()) == 1 })
	if k := log.count("another run"); k != 1 {
		t.Errorf("%d lines about one peer, want 1", k)
	}
}

// Broken requests on the direct streams end the stream and nothing else.
func TestHostileStreams(t *testing.T) {
	w := newWorld(t, 1, 2, 600_000)
	s := newStranger(t, 93, w.home)
	run := w.run.Hash()
	long := binary.LittleEndian.AppendUint64(append(append([]byte(nil), run[:]...), make([]byte, 32)...), 1<<63)
	for _, b := range [][]byte{nil, run[:], long, bytes.Repeat([]byte{0xff}, 1<<16)} {
		_ = s.ask(w.home, protocolPayload, b)
		_ = s.ask(w.home, protocolLog, b)
		_ = s.ask(w.home, protocolRun, b)
	}
	w.runAll(2, 1000)
}

// Peers that answer streams with nonsense do not keep a joiner from the log and the payloads.
func TestLyingSourcesAreLeftBehind(t *testing.T) {
	w := newWorld(t, 2, 2, 600_000)
	w.runAll(1, 300_000)
	joiner := w.node(50, t.TempDir())
	for i, answer := range []func(network.Stream){
		func(s network.Stream) { _, _ = s.Write(make([]byte, 400_000)) },
		func(s network.Stream) { _, _ = s.Write([]byte{0xff, 0xff, 0xff, 0xff}) },
		func(s network.Stream) { _ = s.Reset() },
	} {
		s := newStranger(t, 94+i, joiner)
		for _, id := range []protocol.ID{protocolPayload, protocolLog} {
			s.host.SetStreamHandler(id, func(st network.Stream) { answer(st); _ = st.Close() })
		}
		joiner.ask(s.host.ID())
		eventually(t, "the question", func() bool { return len(joiner.lookup) == 0 })
	}
	if err := joiner.Connect(t.Context(), w.home.Addrs()); err != nil {
		t.Fatal(err)
	}
	x, err := NewExchange(joiner)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := x.Next(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range c.List {
		if err := openAll(ctx, x, &e.SignedHeader); err != nil {
			t.Error(err)
		}
	}
}

func (g *guard) count(p peer.ID) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts[p]
}

func (g *guard) pardon(p peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.counts, p)
	delete(g.rejected, p)
}

// Who names another's payload as its own, and is heard first, does not keep the author's contribution from counting, however the payload travels.
func TestCopiedHashesHideNobody(t *testing.T) {
	for name, size := range map[string]int{"inline": 300, "in parts": 600_000} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3, 1, 8_000)
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			for _, x := range w.exchanges {
				if _, err := x.Genesis(ctx); err != nil {
					t.Fatal(err)
				}
			}
			author := w.contribution(1, 1, size)
			stolen := aggregator.NewSigner(seed(2)).SignHeader(author.Header)
			g := w.nodes[1].gossip
			eventually(t, "the others to listen", func() bool { return len(g.headers.ListPeers()) == 3 })
			g.publish(g.headers, kindHeader, stolen.Encode())
			for _, n := range []*Node{w.home, w.nodes[0], w.nodes[2]} {
				eventually(t, "the copy to be heard", func() bool { return n.depot.known(&stolen) != nil })
			}
			for _, i := range []int{1, 3} {
				if err := w.exchanges[i-1].Offer(ctx, w.contribution(i, 1, size)); err != nil {
					t.Fatal(err)
				}
			}
			c, err := w.exchanges[2].Next(ctx, 0)
			if err != nil {
				t.Fatal(err)
			}
			e, ok := c.Counts(author.Worker)
			if !ok {
				t.Fatalf("%d counted, the author is not among them", len(c.List))
			}
			if err := openAll(ctx, w.exchanges[2], &e.SignedHeader); err != nil {
				t.Error(err)
			}
		})
	}
}

// Who announces another's payload with too small a size is to blame for what does not fit, not the honest peers that send it.
func TestTooSmallASizeIsItsAuthorsFault(t *testing.T) {
	w := newWorld(t, 3, 2, 8_000)
	w.runAll(1, 300_000)
	c, err := w.exchanges[0].Next(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	short := c.List[0].Header
	short.Size -= 1000
	liar := aggregator.NewSigner(seed(2))
	h := liar.SignHeader(short)
	reader := w.node(50, t.TempDir())
	if err := reader.Connect(t.Context(), w.home.Addrs()); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.know(&h, needCounted); err != nil {
		t.Fatal(err)
	}
	author, err := netID(liar.ID)
	if err != nil {
		t.Fatal(err)
	}
	blamed := func() (map[peer.ID]int, bool) {
		reader.guard.mu.Lock()
		defer reader.guard.mu.Unlock()
		return maps.Clone(reader.guard.counts), reader.guard.counts[author] > 0
	}
	eventually(t, "the author to be blamed", func() bool { _, ok := blamed(); return ok })
	if counts, _ := blamed(); len(counts) != 1 {
		t.Errorf("blamed are %v, it is the fault of %v", counts, author)
	}
}
