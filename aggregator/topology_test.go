package aggregator_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"pgregory.net/rapid"
)

// Pairs cut a roster into twos and at most one who is alone, in a way that hangs on the beacon and not on the roster's order.
func TestPairsCutTheRoster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var beacon [32]byte
		copy(beacon[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "beacon"))
		var slots []Slot
		for _, s := range rapid.SliceOfNDistinct(rapid.Uint32(), 0, 12, rapid.ID[uint32]).Draw(t, "roster") {
			slots = append(slots, Slot(s))
		}
		pairs := Pairs(beacon, slots)
		for i, p := range pairs {
			if alone := i == len(pairs)-1 && len(slots)%2 == 1; len(p) != 2 && !alone || alone && len(p) != 1 {
				t.Fatalf("%d workers meet as %v", len(slots), pairs)
			}
		}
		met := slices.Concat(pairs...)
		slices.Sort(met)
		other := Pairs(beacon, met)
		if slices.Sort(slots); !slices.Equal(met, slots) {
			t.Fatalf("%v meet, of %v", met, slots)
		}
		if fmt.Sprint(other) != fmt.Sprint(pairs) {
			t.Fatalf("the same workers in another order meet as %v, and as %v", other, pairs)
		}
	})
}

// Over many rounds everybody meets everybody.
func TestPairsMix(t *testing.T) {
	const n, rounds = 6, 300
	roster, count := []Slot{0, 1, 2, 3, 4, 5}, map[[2]Slot]int{}
	for r := range rounds {
		for _, p := range Pairs([32]byte{byte(r), byte(r >> 8)}, roster) {
			count[[2]Slot{min(p[0], p[1]), max(p[0], p[1])}]++
		}
	}
	for a := range roster {
		for b := range roster[:a] {
			if got := count[[2]Slot{Slot(b), Slot(a)}]; got < rounds/(n-1)/2 || got > 2*rounds/(n-1) {
				t.Errorf("slots %d and %d met %d times in %d rounds of %d workers", b, a, got, rounds, n)
			}
		}
	}
}

// pairs is a crowd of n that exchanges by twos, its machine, and where the members stand: first two partners, then the others.
func pairs(t *testing.T, n int) (c *crowd, r *Rounds, order []int) {
	t.Helper()
	c = newCrowd(1, 1, n, Schedule{Every: 1, Fragments: 1, Steps: 4})
	c.manifest.Topology = Pair
	r = c.machine(n)
	p, ok := r.Chain().Partner(c.peers[0].ID)
	if !ok {
		t.Fatal("worker 0 has no partner")
	}
	for i := range n {
		order = append(order, i)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		rank := func(i int) int {
			switch c.peers[i].ID {
			case c.peers[0].ID:
				return 0
			case p:
				return 1
			}
			return 2
		}
		return rank(a) - rank(b)
	})
	return c, r, order
}

// offer has members offer for round 1.
func offer(t *testing.T, c *crowd, r *Rounds, members ...int) {
	t.Helper()
	for _, i := range members {
		if err := r.Offer(c.offer(i, 1)); err != nil {
			t.Fatal(err)
		}
	}
}

// took has a member say that it has another one's payload.
func took(c *crowd, r *Rounds, reader, author int) {
	r.Took(c.peers[reader].ID, 1, c.header(author, 1).Payload)
}

// Two whose headers are in have not met before both say so.
func TestAPairCountsOnceItHasMet(t *testing.T) {
	c, r, at := pairs(t, 2)
	offer(t, c, r, at...)
	if _, due := r.Next(); due || len(r.Waiting()) != 2 {
		t.Fatalf("due with headers alone, or it waits for %v", r.Waiting())
	}
	took(c, r, at[0], at[1])
	r.Took(c.peers[at[1]].ID, 1, Hash{1}) // not what the other one offered
	r.Took(c.peers[at[1]].ID, 2, c.header(at[0], 1).Payload)
	if _, due := r.Next(); due {
		t.Fatal("due with one of two payloads")
	}
	took(c, r, at[1], at[0])
	if b, due := r.Next(); !due || len(b.List) != 2 || len(b.Left) != 0 {
		t.Fatalf("due %v: %d counted, %v leave", due, len(b.List), b.Left)
	}
}

// Who offers what its partner never gets, or never takes what it is offered, leaves at the deadline together with its partner. The others
// lose nothing but the time.
func TestAPairThatDoesNotMeetLeaves(t *testing.T) {
	for name, half := range map[string]bool{"neither has the other's": false, "one has the other's": true} {
		t.Run(name, func(t *testing.T) {
			c, r, at := pairs(t, 4)
			offer(t, c, r, at...)
			took(c, r, at[2], at[3])
			took(c, r, at[3], at[2])
			if half {
				took(c, r, at[0], at[1])
			}
			if _, due := r.Next(); due {
				t.Fatal("due before the deadline")
			}
			r.Elapse(c.manifest.Deadline)
			b, due := r.Next()
			left := []Slot{Slot(at[0]), Slot(at[1])}
			if slices.Sort(left); !due || len(b.List) != 2 || !slices.Equal(b.Left, left) {
				t.Fatalf("due %v: %d counted, %v leave, expected %v", due, len(b.List), b.Left, left)
			}
		})
	}
}

// A swarm of two that never meets does not stand still: the round closes empty, both leave, and are admitted again.
func TestTwoThatDoNotMeetGoOn(t *testing.T) {
	c, r, at := pairs(t, 2)
	offer(t, c, r, at...)
	r.Elapse(c.manifest.Deadline)
	b, due := r.Next()
	if !due || len(b.List) != 0 || b.BaseRoot != (Hash{}) || len(b.Left) != 2 {
		t.Fatalf("due %v: %+v", due, b)
	}
	for range 2 {
		if err := r.Committed(c.certify(&b)); err != nil {
			t.Fatal(err)
		}
		r.Join(c.peers[0].ID)
		r.Join(c.peers[1].ID)
		b, due = r.Next()
	}
	if got := r.Chain().Roster().Slots(); due || len(got) != 2 {
		t.Errorf("due %v, roster %v", due, got)
	}
}

// A partner that has nothing to offer, or has said goodbye, leaves the other one alone, which counts by itself.
func TestAPartnerThatIsAwayCostsNoSeat(t *testing.T) {
	c, r, at := pairs(t, 2)
	offer(t, c, r, at[0])
	r.Elapse(c.manifest.Deadline)
	if b, due := r.Next(); !due || len(b.List) != 1 || !slices.Equal(b.Left, []Slot{Slot(at[1])}) {
		t.Errorf("a dead partner: due %v, %d counted, %v leave", due, len(b.List), b.Left)
	}
	c, r, at = pairs(t, 2)
	offer(t, c, r, at...)
	r.Leave(c.peers[at[1]].ID)
	if b, due := r.Next(); !due || len(b.List) != 1 || b.List[0].Slot != Slot(at[0]) || !slices.Equal(b.Left, []Slot{Slot(at[1])}) {
		t.Errorf("a partner that leaves: due %v, %d counted, %v leave", due, len(b.List), b.Left)
	}
}

// A round that gathers is exchanged as ever.
func TestTheLastRoundIsEverybodys(t *testing.T) {
	c := newCrowd(1, 1, 3, Schedule{Every: 1, Fragments: 1, Steps: 1})
	c.manifest.Topology = Pair
	r := c.machine(3)
	offer(t, c, r, 0, 1, 2)
	if b, due := r.Next(); !due || len(b.List) != 3 || !r.Chain().Reads(c.peers[0].ID, c.peers[2].ID) {
		t.Errorf("due %v, %d counted", due, len(b.List))
	}
}

// hoarder is an exchange that opens what its owner reads, and nothing of the others'.
type hoarder struct {
	Exchange
	self   PeerID
	opened map[Seq][]PeerID
	lost   Seq // nobody has the partner's payload of this round any more
	s      Schedule
}

func (x *hoarder) Open(ctx context.Context, h *SignedHeader) (io.ReadCloser, error) {
	n, _ := x.s.Departs(h.Key.Departure)
	x.opened[n] = append(x.opened[n], h.Worker)
	if n == x.lost && h.Worker != x.self {
		return nil, fmt.Errorf("round %d: %w", n, ErrGone)
	}
	return x.Exchange.Open(ctx, h)
}

// Workers of a run of pairs open two payloads a round, their own and their partner's, and everybody's at the end. One whose partner's is gone goes
// on alone.
func TestWhoIsOpened(t *testing.T) {
	const n, rounds = 5, 4
	w := newWorld(t, n, NoLoCo(twice, 0.5, 0.7, 0.7), Schedule{Every: 1, Fragments: 1, Steps: rounds + 1})
	var workers []*Worker
	var roads []*hoarder
	for i := range n {
		o := w.options(i, func(uint64) float32 { return float32(i) })
		x := &hoarder{Exchange: o.Exchange, self: o.Signer.ID, opened: map[Seq][]PeerID{}, s: w.manifest.Schedule}
		if i == 0 {
			x.lost = 2
		}
		o.Exchange = x
		o.Landed = func(_ context.Context, l Landing) error {
			if want := len(x.opened[l.Certificate.Seq]); len(l.Merged) != want || l.Certificate.Seq == x.lost && l.Refused != want-1 {
				return fmt.Errorf("round %d merges %d and refuses %d, opened are %d", l.Certificate.Seq, len(l.Merged), l.Refused, want)
			}
			return nil
		}
		worker, err := NewWorker(o)
		if err != nil {
			t.Fatal(err)
		}
		workers, roads = append(workers, worker), append(roads, x)
	}
	run(t, workers...)
	for r := Seq(1); r <= rounds; r++ {
		alone := 0
		for _, x := range roads {
			if got := x.opened[r]; len(got) == 1 {
				alone++
			} else if len(got) != 2 || !slices.Contains(got, x.self) {
				t.Errorf("round %d: %d payloads opened", r, len(got))
			}
		}
		if alone != 1 {
			t.Errorf("round %d: %d of %d are alone", r, alone, n)
		}
	}
	for i, x := range roads {
		if got := x.opened[rounds+1]; len(got) != n {
			t.Errorf("worker %d opens %d of %d payloads of the last round", i, len(got), n)
		}
		if root := workers[i].Root(); root != workers[0].Root() {
			t.Errorf("worker %d ends at another root", i)
		}
	}
}

// A manifest says which topology it is, and only one that fits its schedule.
func TestManifestTopology(t *testing.T) {
	c := newCrowd(1, 1, 1, Schedule{Every: 2, Fragments: 1, Steps: 4})
	for name, change := range map[string]func(*Manifest){
		"none":      func(m *Manifest) { m.Topology = "" },
		"another":   func(m *Manifest) { m.Topology = "star" },
		"delay":     func(m *Manifest) { m.Topology, m.Schedule.Delay = Pair, 1 },
		"fragments": func(m *Manifest) { m.Topology, m.Schedule.Fragments = Pair, 2 },
		"async":     func(m *Manifest) { m.Topology, m.MaxStaleness = Pair, 1 },
	} {
		m := c.manifest
		if change(&m); m.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	m := c.manifest
	m.Topology = Pair
	signed := c.committee[0].SignManifest(m)
	if got, err := DecodeManifest(signed.Encode()); err != nil || got.Topology != Pair || !bytes.Equal(got.Encode(), signed.Encode()) {
		t.Errorf("%v: %+v", err, got)
	}
}
