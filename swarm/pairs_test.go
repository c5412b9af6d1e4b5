package swarm

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// twos is a manifest of a run of pairs with so many rounds.
func twos(rounds int, deadline aggregator.Millis) aggregator.Manifest {
	m := plain(rounds, deadline)
	m.Topology = aggregator.Pair
	return m
}

// meet offers round after round and opens what a worker of a run of pairs reads.
func (w *world) meet(ctx context.Context, x *Exchange, i, from, to, size int) error {
	chain := aggregator.NewChain(&w.run.Manifest)
	for s := range aggregator.Seq(to) + 1 {
		if int(s) >= from {
			if err := x.Offer(ctx, w.contribution(i, s, size)); err != nil {
				return err
			}
		}
		c, err := x.n.Certificate(ctx, s)
		if err != nil {
			return err
		}
		for _, e := range c.List {
			if int(s) < from || !chain.Reads(x.n.signer.ID, e.Worker) {
				continue
			}
			if err := openAll(ctx, x, &e.SignedHeader); err != nil {
				return err
			}
		}
		if err := chain.Follow(c); err != nil {
			return err
		}
	}
	return nil
}

// meetAll has the workers meet in some rounds.
func (w *world) meetAll(from, to, size int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 100*time.Second)
	defer cancel()
	done := make(chan error)
	for i, x := range w.exchanges {
		go func() { done <- w.meet(ctx, x, i+1, from, to, size) }()
	}
	for range w.exchanges {
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

// lists checks that every round counts that many.
func (w *world) lists(from, to, count int) {
	w.t.Helper()
	for s := from; s <= to; s++ {
		c, err := w.home.Certificate(w.t.Context(), aggregator.Seq(s))
		if err != nil || len(c.List) != count {
			w.t.Errorf("round %d counts %v, %v; expected %d", s, c, err, count)
		}
	}
}

// A worker of a run of pairs receives and sends one payload a round, however many there are, small ones and large ones; the committee none. The last
// round brings everybody's to everybody.
func TestBytesInPairs(t *testing.T) {
	for _, size := range []int{250_000, 600_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const n, rounds, chatter = 6, 4, 120_000 // bytes of headers, notices and certificates, which slow machines repeat
			w := paced(t, twos(rounds, 600_000), n, defaultPace())
			w.meetAll(1, 1, size) // and everybody is connected
			before := w.traffic()
			w.meetAll(2, rounds-1, size)
			for i, bytes := range w.traffic() {
				perRound := float64(bytes-before[i]) / (rounds - 2)
				t.Logf("node %d: %.0f bytes a round", i, perRound)
				if i == 0 && perRound > chatter || perRound > float64(size)+chatter {
					t.Errorf("node %d (0 is the committee) sends or receives %.0f bytes a round, a payload has %d", i, perRound, size)
				}
			}
			w.meetAll(rounds, rounds, size)
			w.lists(1, rounds, n)
		})
	}
}

// traffic is what the committee's node and the workers' have sent or received, whichever is more.
func (w *world) traffic() (out []uint64) {
	for _, n := range append([]*Node{w.home}, w.nodes...) {
		out = append(out, max(n.Traffic()))
	}
	return out
}

// apart is a swarm of two workers that know the committee's address only.
func apart(t *testing.T, o Options) *world {
	t.Helper()
	p := quick()
	p.mingle = time.Hour // nobody introduces them
	w := &world{t: t, pace: p, log: aggregator.NewMemoryLog()}
	w.found(twos(2, 600_000))
	w.home = w.node(0, w.dir(0))
	w.preside([]aggregator.PeerID{aggregator.NewSigner(seed(1)).ID, aggregator.NewSigner(seed(2)).ID})
	for i := 1; i <= 2; i++ {
		o := o
		o.Seed, o.Run, o.Dir, o.MaxPayload = seed(i), &w.run, w.dir(i), func(int) int { return testMax }
		n, err := listen(t.Context(), o, p)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		if err := n.Connect(t.Context(), w.home.Addrs()); err != nil {
			t.Fatal(err)
		}
		x, err := NewExchange(n)
		if err != nil {
			t.Fatal(err)
		}
		w.nodes, w.exchanges = append(w.nodes, n), append(w.exchanges, x)
	}
	return w
}

// Partners that cannot reach each other, two volunteers without open ports, meet through the committee.
func TestPairsWithoutPorts(t *testing.T) {
	w := apart(t, Options{})
	w.meetAll(1, 1, 500_000)
	w.lists(1, 1, 2)
}

// Partners that do not know where the other one is ask the committee, which has nothing to pass on then.
func TestPairsFindEachOther(t *testing.T) {
	w := apart(t, Options{Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	w.meetAll(1, 1, 500_000)
	w.lists(1, 1, 2)
	if _, in := w.home.Traffic(); in > 400_000 {
		t.Errorf("the committee received %d bytes: it had to pass payloads on", in)
	}
}

// A worker that announces what it never hands out, and takes what its partner offers, costs that one a deadline and the round. Both leave; the
// run goes on.
func TestHeadersWithoutPayloads(t *testing.T) {
	const n, rounds = 4, 40
	w := startWorld(t, twos(rounds, 1500), n)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	genesis, err := w.home.Certificate(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	chain := aggregator.NewChain(&w.run.Manifest)
	if err := chain.Follow(genesis); err != nil {
		t.Fatal(err)
	}
	miser := w.exchanges[0]
	victim, ok := chain.Partner(miser.n.signer.ID)
	if !ok {
		t.Fatal("nobody meets the miser")
	}
	empty := w.contribution(1, 1, 400_000)
	miser.n.gossip.publish(miser.n.gossip.headers, kindHeader, empty.SignedHeader.Encode())
	done := make(chan error)
	for i, x := range w.exchanges[1:] {
		go func() { done <- w.meet(ctx, x, i+2, 1, 1, 400_000) }()
	}
	for range n - 1 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	c, err := w.home.Certificate(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, counted := c.Counts(victim)
	if len(c.List) != n-2 || counted || len(c.Left) != 2 {
		t.Errorf("%d counted, the victim among them: %v; %v left", len(c.List), counted, c.Left)
	}
	if v := w.committee.judgement(1, miser.n.signer.ID); v.Outcome != Incomplete {
		t.Errorf("the miser is told %v", v)
	}
	for s := aggregator.Seq(2); s < rounds && w.home.ledger.workers() < n; s++ { // both ask for their seats again, by the round that hears of it
		for i := range w.exchanges {
			go func() { _ = w.exchanges[i].Offer(ctx, w.contribution(i+1, s, 1000)) }()
		}
		if _, err := w.home.Certificate(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.home.ledger.workers(); got != n {
		t.Errorf("%d of %d workers have seats again", got, n)
	}
}

// Nobody forwards a payload for everybody in a round of pairs.
func TestPairsFloodNothing(t *testing.T) {
	w := startWorld(t, twos(2, 600_000), 2)
	c := w.contribution(1, 1, 1000)
	author, err := netID(c.Worker)
	if err != nil {
		t.Fatal(err)
	}
	run := w.run.Hash()
	l, err := listParts(aggregator.NewSigner(seed(1)), w.contribution(1, 1, 300_000).SignedHeader, slicesReader(300_000))
	if err != nil {
		t.Fatal(err)
	}
	for name, message := range map[string][]byte{
		"payload": seal(kindPayload, run, c.SignedHeader.Encode(), c.Bytes), "parts": seal(kindParts, run, l.encode()),
	} {
		if _, err := w.home.judge(author, author, topicPayloads, message); !errors.Is(err, aggregator.ErrMalformed) {
			t.Errorf("%s: %v, expected an invalid message", name, err)
		}
	}
}

type slicesReader int

func (r slicesReader) Read(p []byte) (int, error) { return len(p), nil }
