package swarm

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/skein-train/skein/aggregator"
)

// late starts a worker that was not there, on an empty directory, connected to the given nodes.
func (w *world) late(i int, to ...*Node) (*Node, *Exchange) {
	w.t.Helper()
	o := w.home.Options
	o.Seed, o.Dir = seed(i), w.t.TempDir()
	n, err := listen(w.t.Context(), o, w.pace)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = n.Close() })
	for _, other := range to {
		if err := n.Connect(w.t.Context(), other.Addrs()); err != nil {
			w.t.Fatal(err)
		}
	}
	x, err := NewExchange(n)
	if err != nil {
		w.t.Fatal(err)
	}
	return n, x
}

// Who joins late folds old rounds: it opens their payloads one by one and gets them, and nothing that it did not open.
func TestLateJoinerOpensOldRounds(t *testing.T) {
	w := newWorld(t, 2, 12, 600_000)
	w.runAll(10, 30_000)
	n, x := w.late(3, w.home)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, s := range []aggregator.Seq{2, 9, 10} {
		c, err := x.Next(ctx, s-1)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range c.List {
			if err := openAll(ctx, x, &e.SignedHeader); err != nil {
				t.Error(err)
			}
		}
	}
	rounds, err := os.ReadDir(n.depot.dir)
	if err != nil || len(rounds) != 3 {
		t.Errorf("rounds on disk: %v, %v", rounds, err)
	}
	h := w.contribution(1, 8, 1000).SignedHeader // of a round that is over
	if _, err := n.admit(h.Worker, &h); !errors.Is(err, errNotNow) {
		t.Errorf("an old contribution is taken: %v", err)
	}
}

// A payload that everybody has pruned is told apart from one that is late.
func TestPrunedPayloadsAreGone(t *testing.T) {
	w := newWorld(t, 1, 12, 600_000)
	w.runAll(10, 1000)
	stranger := liarHost(t, 80, "/other/1", func(network.Stream) {})
	n, x := w.late(3, w.home, w.nodes[0])
	if err := n.Connect(t.Context(), []string{stranger}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := x.Next(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Next(ctx, 9); err != nil {
		t.Fatal(err)
	}
	for _, other := range []*Node{w.home, w.nodes[0]} {
		if err := other.Prune(8); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.Open(ctx, &c.List[0].SignedHeader); !errors.Is(err, aggregator.ErrGone) {
		t.Errorf("a pruned payload: %v", err)
	}
	c, err = x.Next(ctx, 8)
	if err != nil {
		t.Fatal(err)
	}
	if err := openAll(ctx, x, &c.List[0].SignedHeader); err != nil {
		t.Errorf("a payload that is there: %v", err)
	}
}

// A node that was started again serves the payloads of before, but not one that was damaged meanwhile; what has come over a
// stream is not fetched twice.
func TestPayloadsOutliveTheProgram(t *testing.T) {
	w := newWorld(t, 2, 3, 600_000)
	w.runAll(2, 900_000)
	c, err := w.exchanges[0].Next(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	good, bad := c.List[0].Payload, c.List[1].Payload
	path := filepath.Join(w.dirs[1], "rounds", "1", bad.String())
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[7]++
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	w.restart(1)
	if b, ok := w.nodes[0].Payload(good); !ok || sha256.Sum256(b) != good {
		t.Errorf("%d bytes, %v", len(b), ok)
	}
	if _, ok := w.nodes[0].Payload(bad); ok {
		t.Error("a damaged payload is handed out")
	}
	if _, ok := w.nodes[0].Payload([32]byte{1}); ok {
		t.Error("an unknown payload is handed out")
	}

	half := w.contribution(1, 1, 900_000).Bytes[:600_000]
	dir := filepath.Join(w.dir(4), "rounds", "1")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, c.List[0].Hash().String()+streamSuffix), half, 0o600)); err != nil {
		t.Fatal(err)
	}
	n := w.node(4, w.dir(4))
	if err := n.Connect(t.Context(), w.nodes[0].Addrs()); err != nil {
		t.Fatal(err)
	}
	x, err := NewExchange(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := openAll(t.Context(), x, &c.List[0].SignedHeader); err != nil {
		t.Fatal(err)
	}
	if _, in := n.Traffic(); in > 500_000 {
		t.Errorf("%d bytes received for the last 300000", in)
	}
}

// A long log is fetched at once, without a request for a seat per certificate.
func TestLongLogs(t *testing.T) {
	catchUp(t, 100)
}

func BenchmarkCatchUp(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		took := catchUp(b, 10_000)
		b.ReportMetric(took.Seconds(), "s/10000certificates")
		b.StartTimer()
	}
}

// catchUp measures how long a newcomer takes for so many certificates of two contributions each.
func catchUp(t testing.TB, rounds int) time.Duration {
	w := &world{t: t, pace: defaultPace(), log: aggregator.NewMemoryLog()}
	w.found(plain(rounds+1, 600_000))
	w.home = w.node(0, w.dir(0))
	workers := []aggregator.PeerID{aggregator.NewSigner(seed(1)).ID, aggregator.NewSigner(seed(2)).ID}
	member, err := aggregator.NewMember(t.Context(), &w.run.Manifest, aggregator.NewSigner(seed(0)), w.log, workers, func(c *aggregator.Certificate) {
		if _, err := w.home.take(c); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for s := range aggregator.Seq(rounds) {
		err := member.Do(t.Context(), func(r *aggregator.Rounds) {
			for i := 1; i <= 2; i++ {
				if err := r.Offer(w.contribution(i, s+1, 10).SignedHeader); err != nil {
					t.Error(err)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	_, x := w.late(3, w.home)
	if _, err := x.Next(t.Context(), aggregator.Seq(rounds)-1); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	if sent, _ := x.n.Traffic(); sent > 20_000 {
		t.Errorf("%d bytes sent to catch up", sent)
	}
	return took
}
