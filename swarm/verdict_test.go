package swarm

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// ruled waits until the committee says so of worker i's contribution.
func (w *world) ruled(i int, round aggregator.Seq, want Outcome) Verdict {
	w.t.Helper()
	var got Verdict
	eventually(w.t, "verdict "+Verdict{Round: round, Outcome: want, Total: 1}.String(), func() bool {
		v, err := w.nodes[i-1].Verdict(w.t.Context(), round)
		got = v
		return err == nil && v.Outcome == want
	})
	return got
}

// pass lets the deadline of the open round pass.
func (w *world) pass(ctx context.Context) {
	w.t.Helper()
	if err := w.committee.do(ctx, func(r *aggregator.Rounds) { r.Elapse(w.run.Deadline) }); err != nil {
		w.t.Fatal(err)
	}
}

// Every reason why a contribution is not counted reaches the worker that asks.
func TestVerdicts(t *testing.T) {
	w := newWorld(t, 4, 9, 600_000)
	bad := aggregator.NewSigner(seed(3)).ID
	w.check = func(h *aggregator.SignedHeader, _ []byte) error {
		if h.Worker == bad {
			return errors.New("no such codec")
		}
		return nil
	}
	w.add(5) // not in the genesis
	for i := 1; i <= 4; i++ {
		w.ruled(i, 1, Pending)
	}
	offer := func(i int, s aggregator.Seq, root aggregator.Hash) {
		c := w.contribution(i, s, 1000)
		c.BaseRoot = root
		c.SignedHeader = aggregator.NewSigner(seed(i)).SignHeader(c.Header)
		if err := w.exchanges[i-1].Offer(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	offer(3, 1, aggregator.Hash{})
	w.ruled(3, 1, Invalid)
	offer(1, 1, aggregator.Hash{})
	w.ruled(1, 1, Received)
	w.pass(t.Context())
	if _, err := w.exchanges[4].Next(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if v := w.ruled(1, 1, Counted); v.Weight != 8 || v.Total != 8 {
		t.Errorf("%+v", v)
	}
	w.ruled(2, 1, Absent)
	w.ruled(3, 1, Invalid)
	w.ruled(5, 1, NoSeat)
	w.ruled(5, 9, Pending)
	w.ruled(5, 10, Unknown)
	offer(4, 1, aggregator.Hash{})
	w.ruled(4, 1, Late)
}

// Late and stale contributions are told apart from absent ones.
func TestLateAndStaleVerdicts(t *testing.T) {
	w := newWorld(t, 3, 3, 600_000)
	w.runAll(1, 100)
	for i, root := range []aggregator.Hash{{1}, {1}, {2}} {
		c := w.contribution(i+1, 2, 1000)
		c.BaseRoot = root
		c.SignedHeader = aggregator.NewSigner(seed(i + 1)).SignHeader(c.Header)
		if err := w.exchanges[i].Offer(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	w.ruled(3, 2, Stale)
	if err := w.exchanges[0].Offer(t.Context(), w.contribution(1, 3, 1000)); err != nil {
		t.Fatal(err)
	}
	w.ruled(1, 3, Received)
	w.pass(t.Context())
	if _, err := w.exchanges[0].Next(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	h := w.contribution(2, 3, 1000).SignedHeader
	_, _ = w.home.admit(h.Worker, &h) // as if it had been on its way for long
	if v := w.ruled(2, 3, Late); v.Behind < 0 || v.Behind > time.Minute {
		t.Errorf("%+v", v)
	}
}

func TestVerdictsAreSentences(t *testing.T) {
	for o := Unknown; o < outcomes; o++ {
		s := Verdict{Round: 7, Outcome: o, Weight: 1, Total: 3}.String()
		if !strings.HasPrefix(s, "round 7") || strings.Contains(s, "\n") {
			t.Error(s)
		}
	}
}

func FuzzVerdict(f *testing.F) {
	f.Add((&Verdict{Outcome: Counted, Weight: 1, Total: 2}).encode())
	f.Add((&Verdict{Outcome: Late, Behind: time.Second}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := decodeVerdict(1, b); err == nil && string(v.encode()) != string(b) {
			t.Errorf("%x became %+v", b, v)
		}
	})
}

// The memory forgets what is old, keeps only what members did, and keeps the first thing that it saw.
func TestCommitteeForgets(t *testing.T) {
	m := newMemory()
	a, b := aggregator.NewSigner(seed(1)).ID, aggregator.NewSigner(seed(2)).ID
	m.certified(&aggregator.Certificate{Body: aggregator.Body{Joined: []aggregator.Admitted{{Slot: 0, Peer: a}}}})
	h := func(p aggregator.PeerID) *aggregator.SignedHeader {
		return &aggregator.SignedHeader{Header: aggregator.Header{Worker: p}}
	}
	for s := aggregator.Seq(1); s <= 200; s++ {
		m.note(h(a), s, Incomplete)
		m.note(h(a), s, Late)
		m.note(h(b), s, Late)
		m.certified(&aggregator.Certificate{Body: aggregator.Body{Seq: s}})
	}
	if len(m.rounds) != remembered {
		t.Errorf("%d rounds remembered", len(m.rounds))
	}
	for s, want := range map[aggregator.Seq]Outcome{100: Unknown, 137: Incomplete, 200: Incomplete, 201: Pending} {
		if got := m.recall(s, a).Outcome; got != want {
			t.Errorf("round %d: %d, want %d", s, got, want)
		}
	}
	if got := m.recall(200, b).Outcome; got != NoSeat {
		t.Errorf("a peer without a seat: %d", got)
	}
}

// A paused worker leaves the roster and follows the log; when it resumes, it gets its slot back.
func TestPauseAndResume(t *testing.T) {
	w := newWorld(t, 2, 1000, 600_000)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	w.runAll(1, 1000)
	x := w.exchanges[1]
	slot := w.slot(2)
	x.Pause()
	next := aggregator.Seq(2)
	round := func() {
		if err := w.exchanges[0].Offer(ctx, w.contribution(1, next, 1000)); err != nil {
			t.Fatal(err)
		}
		if c, err := x.Next(ctx, next-1); err != nil || c.Seq != next {
			t.Fatal(err)
		}
		next++
	}
	eventually(t, "the goodbye", func() bool { return len(w.committee.Waiting()) == 1 })
	round()
	if x.Seated() {
		t.Error("a paused worker has its seat")
	}
	round()
	x.Resume()
	eventually(t, "the seat", func() bool { round(); return x.Seated() })
	if got := w.slot(2); got != slot {
		t.Errorf("slot %d after the pause, %d before", got, slot)
	}
}

func (w *world) slot(i int) aggregator.Slot {
	w.t.Helper()
	w.home.ledger.mu.Lock()
	defer w.home.ledger.mu.Unlock()
	s, ok := w.home.ledger.chain.Roster().Slot(aggregator.NewSigner(seed(i)).ID)
	if !ok {
		w.t.Fatalf("worker %d has no seat", i)
	}
	return s
}

// A paused exchange asks for no seat before it is resumed.
func TestPausedFromTheStart(t *testing.T) {
	w := newWorld(t, 1, 1000, 600_000)
	n := w.node(3, w.dir(3))
	if err := n.Connect(t.Context(), w.home.Addrs()); err != nil {
		t.Fatal(err)
	}
	x, err := NewPausedExchange(n)
	if err != nil {
		t.Fatal(err)
	}
	next := 1
	for ; next <= 3; next++ {
		w.runFrom(next, next, 1000)
	}
	if x.Seated() {
		t.Error("a paused newcomer has a seat")
	}
	x.Resume()
	eventually(t, "a seat", func() bool {
		if !w.home.ledger.seated(n.ID()) {
			w.runFrom(next, next, 1000)
			next++
		}
		return x.Seated()
	})
}

// Who leaves right after an offer is counted, is not waited for, and learns so although no certificate comes.
func TestLeaveDeliversWhatIsOwed(t *testing.T) {
	w := newWorld(t, 2, 4, 600_000)
	x := w.exchanges[1]
	if err := x.Offer(t.Context(), w.contribution(2, 1, 900_000)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := x.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = w.nodes[1].Close()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("leaving took %v", took)
	}
	one := aggregator.NewSigner(seed(1)).ID
	if waits := w.committee.Waiting(); !slices.Equal(waits, []aggregator.PeerID{one}) {
		t.Errorf("the round waits for %v", waits)
	}
	if err := w.exchanges[0].Offer(t.Context(), w.contribution(1, 1, 1000)); err != nil {
		t.Fatal(err)
	}
	c, err := w.exchanges[0].Next(t.Context(), 0)
	if err != nil || len(c.List) != 2 || len(c.Left) != 1 {
		t.Errorf("%d counted, %v left, %v", len(c.List), c.Left, err)
	}
}

// Without a committee a goodbye ends after a while, with a reason.
func TestLeaveWithoutACommittee(t *testing.T) {
	w := newWorld(t, 1, 4, 600_000)
	if _, err := w.exchanges[0].Genesis(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.home.Kill()
	start := time.Now()
	if err := w.exchanges[0].Leave(t.Context()); !errors.Is(err, errNoCommittee) {
		t.Errorf("left with %v", err)
	}
	if took := time.Since(start); took > 6*time.Second {
		t.Errorf("leaving took %v", took)
	}
}
