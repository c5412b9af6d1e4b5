package swarm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick is a pace for tests: what is lost is found out soon.
func quick() pace {
	return pace{
		republish: 500 * time.Millisecond, tip: 200 * time.Millisecond, patience: 400 * time.Millisecond, stuck: 3 * time.Second,
		deaf: time.Second, request: 2 * time.Second, elapse: 20 * time.Millisecond, mingle: 300 * time.Millisecond,
		owed: 2 * time.Second, farewell: 2 * time.Second,
	}
}

func seed(i int) [32]byte { return [32]byte{byte(i), byte(i >> 8), 7} }

// world is a swarm on loopback: a committee and n workers, each on a node of its own.
type world struct {
	t         testing.TB
	run       aggregator.SignedManifest
	pace      pace
	log       aggregator.Log
	committee *Committee
	home      *Node // the committee's
	nodes     []*Node
	exchanges []*Exchange
	dirs      []string
	check     func(*aggregator.SignedHeader, []byte) error
	caps      *Caps
	listen    string // "": TCP on loopback
	welcome   []byte
}

const testMax = 64 << 20

// plain is a manifest of so many rounds of one step each.
func plain(rounds int, deadline aggregator.Millis) aggregator.Manifest {
	return aggregator.Manifest{
		Name: "test", Topology: aggregator.All, Schedule: aggregator.Schedule{Every: 1, Fragments: 1, Steps: uint64(rounds)}, Parameters: 1,
		BatchSize: 1, SeqLen: 8, Sequences: 8, MinPeers: 1, Deadline: deadline,
	}
}

func newWorld(t testing.TB, n, rounds int, deadline aggregator.Millis) *world {
	t.Helper()
	return startWorld(t, plain(rounds, deadline), n)
}

func startWorld(t testing.TB, m aggregator.Manifest, n int) *world {
	t.Helper()
	return paced(t, m, n, quick())
}

func paced(t testing.TB, m aggregator.Manifest, n int, p pace) *world {
	t.Helper()
	w := &world{t: t, pace: p, log: aggregator.NewMemoryLog()}
	w.found(m)
	w.open(n)
	return w
}

// found makes the run: its owner is node 0.
func (w *world) found(m aggregator.Manifest) {
	owner := aggregator.NewSigner(seed(0))
	m.Committee = []aggregator.PeerID{owner.ID}
	w.run = owner.SignManifest(m)
	w.check = func(*aggregator.SignedHeader, []byte) error { return nil }
}

// open starts the committee, and n workers that the genesis admits.
func (w *world) open(n int) {
	w.t.Helper()
	w.home = w.node(0, w.dir(0))
	var workers []aggregator.PeerID
	for i := 1; i <= n; i++ {
		workers = append(workers, aggregator.NewSigner(seed(i)).ID)
	}
	w.preside(workers)
	for i := 1; i <= n; i++ {
		w.add(i)
	}
}

func (w *world) preside(workers []aggregator.PeerID) {
	w.t.Helper()
	check := func(h *aggregator.SignedHeader, b []byte) error { return w.check(h, b) }
	var err error
	if w.committee, err = NewCommittee(w.t.Context(), w.home, w.log, workers, check); err != nil {
		w.t.Fatal(err)
	}
}

// restart kills worker i and starts it again from its directory.
func (w *world) restart(i int) *Exchange {
	w.t.Helper()
	w.nodes[i-1].Kill()
	w.nodes[i-1] = nil
	n, x := w.start(i)
	w.nodes[i-1], w.exchanges[i-1] = n, x
	return x
}

func (w *world) dir(i int) string {
	for len(w.dirs) <= i {
		w.dirs = append(w.dirs, w.t.TempDir())
	}
	return w.dirs[i]
}

func (w *world) node(i int, dir string) *Node {
	w.t.Helper()
	at := w.listen
	if at == "" {
		at = "/ip4/127.0.0.1/tcp/0"
	}
	n, err := listen(w.t.Context(), Options{
		Seed: seed(i), Listen: []string{at}, Welcome: w.welcome, Run: &w.run, Dir: dir,
		MaxPayload: func(int) int { return testMax }, Log: slog.New(slog.NewTextHandler(testWriter{w.t}, &slog.HandlerOptions{Level: slog.LevelInfo})), Caps: w.caps,
	}, w.pace)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = n.Close() })
	return n
}

// add starts worker i and connects it to everybody.
func (w *world) add(i int) *Exchange {
	w.t.Helper()
	n, x := w.start(i)
	w.nodes, w.exchanges = append(w.nodes, n), append(w.exchanges, x)
	return x
}

func (w *world) start(i int) (*Node, *Exchange) {
	w.t.Helper()
	n := w.node(i, w.dir(i))
	addrs := w.home.Addrs()
	for _, other := range w.nodes {
		if other != nil {
			addrs = append(addrs, other.Addrs()...)
		}
	}
	if err := n.Connect(w.t.Context(), addrs); err != nil {
		w.t.Fatal(err)
	}
	x, err := NewExchange(n)
	if err != nil {
		w.t.Fatal(err)
	}
	return n, x
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(string(bytes.TrimSpace(b)))
	return len(b), nil
}

// contribution is worker i's for round s: size random bytes.
func (w *world) contribution(i int, s aggregator.Seq, size int) aggregator.Contribution {
	r := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, i, s, size)))
	payload := make([]byte, size)
	_, _ = r.Read(payload)
	sch := w.run.Schedule
	h := aggregator.NewSigner(seed(i)).SignHeader(aggregator.Header{
		Run: w.run.Hash(), Key: sch.Key(s), Base: sch.Base(s), Tokens: 8, Payload: sha256.Sum256(payload), Size: uint64(size),
	})
	return aggregator.Contribution{SignedHeader: h, Bytes: payload}
}

// work offers round after round and opens all that is counted, as a worker does.
func (w *world) work(ctx context.Context, x *Exchange, i, from, to, size int) error {
	for s := aggregator.Seq(from); s <= aggregator.Seq(to); s++ {
		if err := x.Offer(ctx, w.contribution(i, s, size)); err != nil {
			return err
		}
		c, err := x.Next(ctx, s-1)
		if err != nil {
			return err
		}
		for _, e := range c.List {
			if err := openAll(ctx, x, &e.SignedHeader); err != nil {
				return err
			}
		}
	}
	return nil
}

// openAll reads a payload and checks its hash.
func openAll(ctx context.Context, x aggregator.Exchange, h *aggregator.SignedHeader) error {
	r, err := x.Open(ctx, h)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err == nil && sha256.Sum256(b) != h.Payload {
		err = fmt.Errorf("payload %s has other bytes", h.Payload.Short())
	}
	return err
}

// runAll has all workers work and returns the rounds per second.
func (w *world) runAll(rounds, size int) float64 { return w.runFrom(1, rounds, size) }

func (w *world) runFrom(from, to, size int) float64 {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 100*time.Second)
	defer cancel()
	for _, x := range w.exchanges {
		if _, err := x.Genesis(ctx); err != nil {
			w.t.Fatal(err)
		}
	}
	start, done := time.Now(), make(chan error)
	for i, x := range w.exchanges {
		go func() { done <- w.work(ctx, x, i+1, from, to, size) }()
	}
	for range w.exchanges {
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
	return float64(to-from+1) / time.Since(start).Seconds()
}

func TestInlineRounds(t *testing.T) {
	w := newWorld(t, 4, 8, 600_000)
	t.Logf("%.1f rounds/s", w.runAll(8, 1000))
	for s := range aggregator.Seq(8) {
		if c, err := w.exchanges[0].Next(t.Context(), s); err != nil || len(c.List) != 4 {
			t.Errorf("round %d counts %v, %v", s+1, c, err)
		}
	}
}
