package aggregator_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"pgregory.net/rapid"
)

// history drives a round machine through a random history, beside a dumb twin that remembers everything and decides
// nothing: who is active, what was offered, how long the wait was, how far the data is reserved.
type history struct {
	*crowd
	t      *rapid.T
	rounds *Rounds
	chain  *Chain // follows the certificates' bytes on its own

	slots    map[PeerID]Slot // ever given
	active   map[PeerID]bool
	admitted map[PeerID]Seq
	asked    map[PeerID]bool
	goodbye  map[PeerID]bool
	offers   map[Seq]map[PeerID]Header
	roots    map[PeerID]Hash
	took     map[PeerID]Hash // of the next round
	waited   Millis
	reserved uint64
	counted  map[string]bool
}

func newHistory(t *rapid.T) *history {
	topology := rapid.SampledFrom([]Topology{All, All, Pair}).Draw(t, "topology")
	fragments := rapid.Uint64Range(1, 3).Draw(t, "fragments")
	every := fragments * rapid.Uint64Range(1, 2).Draw(t, "stride")
	s := Schedule{
		Every: every, Fragments: fragments, Delay: rapid.Uint64Range(0, every).Draw(t, "delay"), Steps: every*2 + rapid.Uint64Range(0, every).Draw(t, "more"),
	}
	if topology == Pair {
		s = Schedule{Every: every, Fragments: 1, Steps: every * rapid.Uint64Range(2, 4).Draw(t, "rounds")}
	}
	c := newCrowd(1, rapid.IntRange(1, 4).Draw(t, "committee"), 6, s)
	c.manifest.Topology = topology
	c.manifest.MinPeers = rapid.IntRange(1, 4).Draw(t, "min peers")
	h := &history{
		crowd: c, t: t, rounds: NewRounds(NewChain(&c.manifest)), chain: NewChain(&c.manifest), slots: map[PeerID]Slot{},
		active: map[PeerID]bool{}, admitted: map[PeerID]Seq{}, asked: map[PeerID]bool{}, goodbye: map[PeerID]bool{},
		offers: map[Seq]map[PeerID]Header{}, roots: map[PeerID]Hash{}, took: map[PeerID]Hash{}, counted: map[string]bool{},
	}
	h.commit(c.genesis(rapid.IntRange(1, 4).Draw(t, "workers")))
	return h
}

func (h *history) due() Seq       { return h.chain.Tip().Seq + 1 }
func (h *history) last() Seq      { return h.manifest.Schedule.Rounds() }
func (h *history) flying() Seq    { return Seq(h.manifest.Schedule.Delay / h.manifest.Schedule.Stride()) }
func (h *history) any() int       { return rapid.IntRange(0, len(h.peers)-1).Draw(h.t, "peer") }
func (h *history) training() bool { return h.due() <= h.last() }

// idle reports whether a worker can have no contribution to the next round, since that departed before its admission landed.
func (h *history) idle(p PeerID) bool {
	s, a := h.manifest.Schedule, h.admitted[p]
	return a > 0 && uint64(h.due())*s.Stride() <= uint64(a)*s.Stride()+s.Delay
}

// in lists who has spoken for the next entry.
func (h *history) in() (out []PeerID) {
	for p := range h.active {
		_, offered := h.offers[h.due()][p]
		_, reported := h.roots[p]
		if h.training() && offered || !h.training() && reported {
			out = append(out, p)
		}
	}
	return out
}

// partner is who a worker exchanges the next round with.
func (h *history) partner(p PeerID) (q PeerID, ok bool) {
	if h.manifest.Topology != Pair || h.due() >= h.last() {
		return q, false
	}
	var roster []Slot
	for p := range h.active {
		roster = append(roster, h.slots[p])
	}
	slices.Sort(roster)
	for _, two := range Pairs(h.chain.Tip().Beacon, roster) {
		for q := range h.active {
			if q != p && slices.Contains(two, h.slots[p]) && slices.Contains(two, h.slots[q]) {
				return q, true
			}
		}
	}
	return q, false
}

// met says whether a worker that is in has exchanged its contribution with whoever is there for it.
func (h *history) met(p PeerID) bool {
	q, ok := h.partner(p)
	mine, theirs := h.offers[h.due()][p], h.offers[h.due()][q]
	return !ok || theirs == Header{} || h.goodbye[q] || h.took[p] == theirs.Payload && h.took[q] == mine.Payload
}

// take has a worker say that it has a payload: its partner's, or by mistake another one.
func (h *history) take() {
	p, n := h.peers[h.any()].ID, h.due()-Seq(rapid.SampledFrom([]uint64{0, 0, 0, 1}).Draw(h.t, "before"))
	q, ok := h.partner(p)
	payload := h.offers[h.due()][q].Payload
	if rapid.IntRange(0, 4).Draw(h.t, "mistake") == 0 {
		payload[3]++
	}
	h.rounds.Took(p, n, payload)
	if ok && n == h.due() {
		h.took[p] = payload
	}
}

func (h *history) absent() (out []PeerID) {
	in := h.in()
	for p := range h.active {
		here := slices.Contains(in, p)
		if !h.goodbye[p] && (!here && !h.idle(p) || here && !h.met(p)) {
			out = append(out, p)
		}
	}
	return out
}

// ripe is when the next entry has to be made.
func (h *history) ripe() bool {
	in, absent, late := len(h.in()), len(h.absent()), h.waited >= h.manifest.Deadline
	switch {
	case h.chain.Closed():
		return false
	case !h.training():
		return in > 0 && (absent == 0 || late)
	case in == 0:
		return absent == 0 && (len(h.asked) > 0 || len(h.goodbye) < len(h.active))
	default:
		return absent == 0 || late && (in >= h.manifest.MinPeers || len(h.asked) > 0)
	}
}

// short is when too few are in for the round to count, and it closes for the sake of those who ask to join.
func (h *history) short() bool {
	in := len(h.in())
	return in > 0 && in < h.manifest.MinPeers && len(h.absent()) > 0
}

// offer plays one offer, right or with one fault, and compares the machine's answer.
func (h *history) offer() {
	i, due := h.any(), h.due()
	n := max(1, due+Seq(rapid.Uint64Range(0, 6).Draw(h.t, "ahead"))) - 1
	n = min(max(n, 1), h.last())
	p, b := h.peers[i].ID, h.header(i, n)
	b.Tokens = rapid.Uint64Range(1, 100).Draw(h.t, "tokens")
	var want error
	switch fault := rapid.IntRange(0, 12).Draw(h.t, "fault"); fault {
	case 0:
		b.Run[0]++
		want = ErrOtherRun
	case 1:
		b.Base++
		want = ErrStale
	case 2:
		b.Key.Fragment++
		want = ErrMalformed
	case 3:
		b.Tokens = 0
		want = ErrMalformed
	case 4:
		if b.BaseRoot[0]++; b.Base == 0 {
			want = ErrDiverged
		}
	}
	signed := h.peers[i].SignHeader(b)
	if rapid.IntRange(0, 15).Draw(h.t, "forge") == 0 {
		if signed.Signature[5]++; want == nil {
			want = ErrMalformed
		}
	}
	earlier, offered := h.offers[n][p]
	e, counted := h.chain.Tip().Counts(p)
	switch {
	case want != nil:
	case !h.active[p]:
		want = ErrNotOnList
	case n < due && !(counted && e.Header == b):
		want = ErrLate
	case n < due:
	case n > due+h.flying()+1:
		want = ErrEarly
	case offered && earlier != b:
		want = ErrRepeated
	case !offered:
		if h.offers[n] == nil {
			h.offers[n] = map[PeerID]Header{}
		}
		h.offers[n][p] = b
		delete(h.goodbye, p)
	}
	for range rapid.IntRange(1, 2).Draw(h.t, "copies") {
		if got := h.rounds.Offer(signed); !errors.Is(got, want) {
			h.t.Fatalf("round %d is due: offer of peer %d for round %d: %v, expected %v", due, i, n, got, want)
		}
	}
}

func (h *history) join() {
	p := h.peers[h.any()].ID
	h.rounds.Join(p)
	if delete(h.goodbye, p); !h.active[p] {
		h.asked[p] = true
	}
}

func (h *history) leave() {
	p := h.peers[h.any()].ID
	h.rounds.Leave(p)
	if delete(h.asked, p); h.active[p] {
		h.goodbye[p] = true
	}
}

func (h *history) elapse() {
	ms := Millis(rapid.Uint64Range(1, 700).Draw(h.t, "ms"))
	h.rounds.Elapse(ms)
	if len(h.in()) > 0 {
		h.waited += ms
	}
}

func (h *history) reach() {
	p, n, r := h.peers[h.any()].ID, h.last()-Seq(rapid.Uint64Range(0, 1).Draw(h.t, "before")), root(Seq(rapid.Uint64Range(100, 102).Draw(h.t, "root")))
	h.rounds.Reached(p, n, r)
	if h.active[p] && n == h.last() {
		h.roots[p] = r
	}
}

func (h *history) announce() {
	h.rounds.Announce(Announcement{Seq: Seq(rapid.Uint64Range(0, 6).Draw(h.t, "announced")), CID: rapid.StringN(0, 3, 140).Draw(h.t, "cid")})
}

// settle certifies whatever is due, and checks that it is due exactly when the twin says so.
func (h *history) settle() {
	for {
		body, due := h.rounds.Next()
		if due != h.ripe() {
			h.t.Fatalf("entry %d due: %v, expected %v; in %d, absent %d, waited %d", h.due(), due, h.ripe(), len(h.in()), len(h.absent()), h.waited)
		}
		if waiting := h.rounds.Waiting(); len(waiting) != len(h.absent()) {
			h.t.Fatalf("the machine waits for %v, expected %v", waiting, h.absent())
		}
		if !due {
			return
		}
		if again, _ := h.rounds.Next(); again.Hash() != body.Hash() {
			h.t.Fatal("asking for the next body changed it")
		}
		if body.Kind == Round {
			h.checkRound(&body)
		} else {
			h.checkClosing(&body)
		}
		h.commit(h.certify(&body))
	}
}

func (h *history) checkRound(b *Body) {
	stays, reservation := map[PeerID]bool{}, h.manifest.Schedule.Stride()*h.manifest.BatchSize*h.manifest.SeqLen
	for _, e := range b.List {
		id := fmt.Sprint(e.Worker, b.Seq)
		switch {
		case h.counted[id]:
			h.t.Fatalf("round %d counts %v twice", b.Seq, e.Worker)
		case !h.active[e.Worker] || h.slots[e.Worker] != e.Slot:
			h.t.Fatalf("round %d counts slot %d, which is not in the roster", b.Seq, e.Slot)
		case e.Header != h.offers[b.Seq][e.Worker] || e.BaseRoot != b.BaseRoot:
			h.t.Fatalf("round %d counts a header that slot %d did not offer for it", b.Seq, e.Slot)
		case e.Weight != min(e.Tokens, reservation):
			h.t.Fatalf("weight %d for %d tokens, %d reserved", e.Weight, e.Tokens, reservation)
		}
		h.counted[id], stays[e.Worker] = true, !h.goodbye[e.Worker]
	}
	votes := map[Hash]int{}
	for p, o := range h.offers[b.Seq] {
		if h.met(p) {
			votes[o.BaseRoot]++
		}
	}
	if h.short() {
		if len(b.List) > 0 {
			h.t.Fatalf("round %d counts %d, fewer than min_peers", b.Seq, len(b.List))
		}
		for _, p := range h.in() {
			stays[p] = !h.goodbye[p]
		}
		votes = nil
	}
	for _, n := range votes {
		if len(b.List) < n || len(b.List) != votes[b.BaseRoot] {
			h.t.Fatalf("round %d counts %d, the votes are %v", b.Seq, len(b.List), votes)
		}
	}
	var left []Slot
	for p := range h.active {
		if _, offered := h.offers[b.Seq][p]; !stays[p] && !(h.idle(p) && !offered && !h.goodbye[p]) {
			left = append(left, h.slots[p])
		}
	}
	if slices.Sort(left); !slices.Equal(b.Left, left) {
		h.t.Fatalf("round %d: %v leave, expected %v", b.Seq, b.Left, left)
	}
	if len(b.Joined) != len(h.asked) {
		h.t.Fatalf("round %d admits %v, %d have asked", b.Seq, b.Joined, len(h.asked))
	}
	if b.Cursor != h.reserved {
		h.t.Fatalf("round %d reserves from %d, reserved before is up to %d", b.Seq, b.Cursor, h.reserved)
	}
}

func (h *history) checkClosing(b *Body) {
	votes := map[Hash]int{}
	for _, p := range h.in() {
		votes[h.roots[p]]++
	}
	if votes[b.BaseRoot] != slices.Max(slices.Collect(maps.Values(votes))) {
		h.t.Fatalf("the run ends with a root of %d votes among %v", votes[b.BaseRoot], votes)
	}
}

// commit sends a certificate's bytes to the other chain, and keeps the twin's books.
func (h *history) commit(cert *Certificate) {
	other, err := DecodeCertificate(cert.Encode())
	if err == nil {
		err = h.chain.Add(&other)
	}
	if err == nil {
		err = h.rounds.Committed(cert)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	for p, s := range h.slots {
		if slices.Contains(cert.Left, s) {
			delete(h.active, p)
			delete(h.goodbye, p)
			for _, in := range h.offers {
				delete(in, p)
			}
		}
	}
	for _, a := range cert.Joined {
		old, known := h.slots[a.Peer]
		if known && old != a.Slot || !known && a.Slot != Slot(len(h.slots)) {
			h.t.Fatalf("peer %v gets slot %d, had %d (%v), %d are given", a.Peer, a.Slot, old, known, len(h.slots))
		}
		h.slots[a.Peer], h.active[a.Peer], h.admitted[a.Peer] = a.Slot, true, cert.Seq
		delete(h.asked, a.Peer)
	}
	h.waited = 0
	clear(h.took)
	h.reserved = cert.Cursor + uint64(len(h.active))*h.manifest.Share(cert.Seq)
	if got := h.rounds.Chain().Roster().Slots(); len(got) != len(h.active) || !slices.IsSorted(got) {
		h.t.Fatalf("roster %v, expected %v", got, h.active)
	}
}

// finish lets everybody who is in do what it should: no history may have led into a dead end.
func (h *history) finish() {
	for h.training() {
		n := h.due()
		for i, p := range h.peers {
			if len(h.active) == 0 || h.active[p.ID] {
				h.rounds.Join(p.ID)
				if delete(h.goodbye, p.ID); !h.active[p.ID] {
					h.asked[p.ID] = true
				}
			}
			if _, offered := h.offers[n][p.ID]; !offered && h.active[p.ID] && !h.idle(p.ID) {
				if h.offers[n] == nil {
					h.offers[n] = map[PeerID]Header{}
				}
				h.offers[n][p.ID] = h.header(i, n)
				if err := h.rounds.Offer(h.crowd.offer(i, n)); err != nil {
					h.t.Fatal(err)
				}
			}
		}
		for p := range h.active {
			if q, ok := h.partner(p); ok {
				h.took[p] = h.offers[n][q].Payload
				h.rounds.Took(p, n, h.took[p])
			}
		}
		if h.settle(); h.due() == n {
			h.t.Fatalf("round %d does not close with everybody in", n)
		}
	}
	for p := range h.active {
		h.rounds.Reached(p, h.last(), root(100))
		h.roots[p] = root(100)
	}
	if h.settle(); !h.chain.Closed() && len(h.active) > 0 {
		h.t.Fatal("the run does not close with everybody's report in")
	}
}

// The machine against its dumb twin, over any history of offers, faults, joins, goodbyes, reports, news and time.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			switch rapid.IntRange(0, 14).Draw(t, "event") {
			case 13, 14:
				h.take()
			case 0:
				h.join()
			case 1:
				h.leave()
			case 2, 3:
				h.elapse()
			case 4:
				h.reach()
			case 5:
				h.announce()
			default:
				h.offer()
			}
			h.settle()
		}
		h.finish()
	})
}

// The same contributions with other keys, in another order, deal out the same data.
func TestBeaconKnowsNoKeysAndNoOrder(t *testing.T) {
	s := Schedule{Every: 4, Fragments: 2, Delay: 1, Steps: 20}
	tell := func(salt byte) (out []Hash) {
		c := newCrowd(salt, 1, 3, s)
		r := c.machine(3)
		random := rand.New(rand.NewPCG(uint64(salt), 1))
		for n := Seq(1); n <= s.Rounds(); n++ {
			for _, i := range random.Perm(3) {
				if err := r.Offer(c.offer(i, n)); err != nil {
					t.Fatal(err)
				}
			}
			body, due := r.Next()
			if !due {
				t.Fatalf("round %d is not due with all in", n)
			}
			if err := r.Committed(c.certify(&body)); err != nil {
				t.Fatal(err)
			}
			out = append(out, body.Beacon)
		}
		return out
	}
	a, b := tell(1), tell(2)
	if !slices.Equal(a, b) {
		t.Errorf("beacons %v with one set of keys, %v with another", a, b)
	}
	distinct := map[Hash]bool{}
	for _, x := range a {
		distinct[x] = true
	}
	if len(distinct) != len(a) {
		t.Error("a beacon came up twice")
	}
}

// One worker and a peer that reports a zero root: the lowest slot decides the tie, whatever the roots are.
func TestTieGoesToTheLowestSlot(t *testing.T) {
	c := newCrowd(1, 1, 2, Schedule{Every: 1, Fragments: 1, Steps: 3})
	r := c.machine(2)
	next := func(n Seq, second Header) Body {
		t.Helper()
		for _, h := range []SignedHeader{c.offer(0, n), c.peers[1].SignHeader(second)} {
			if err := r.Offer(h); err != nil {
				t.Fatal(err)
			}
		}
		body, due := r.Next()
		if !due {
			t.Fatalf("round %d is not due", n)
		}
		if err := r.Committed(c.certify(&body)); err != nil {
			t.Fatal(err)
		}
		return body
	}
	next(1, c.header(1, 1))
	liar := c.header(1, 2)
	liar.BaseRoot = Hash{}
	if b := next(2, liar); b.BaseRoot != root(1) || !slices.Equal(b.Left, []Slot{1}) {
		t.Errorf("root %s, left %v; want %s and slot 1", b.BaseRoot.Short(), b.Left, root(1).Short())
	}
}

// A report of the final root that comes early starts no deadline.
func TestEarlyReportStartsNoClock(t *testing.T) {
	c := newCrowd(1, 1, 2, Schedule{Every: 1, Fragments: 1, Steps: 3})
	r := c.machine(2)
	r.Reached(c.peers[1].ID, 3, root(3))
	r.Elapse(5000)
	if err := r.Offer(c.offer(1, 1)); err != nil {
		t.Fatal(err)
	}
	if _, due := r.Next(); due {
		t.Error("the round closed without slot 0 although its deadline has not begun")
	}
}

// What a worker offered ahead is void once it has left: it neither counts towards MinPeers nor starts a deadline.
func TestOffersOfLeaversAreVoid(t *testing.T) {
	c := newCrowd(1, 1, 2, Schedule{Every: 1, Fragments: 1, Delay: 1, Steps: 5})
	r := c.machine(2)
	for _, h := range []SignedHeader{c.offer(0, 1), c.offer(1, 1), c.offer(1, 2)} {
		if err := r.Offer(h); err != nil {
			t.Fatal(err)
		}
	}
	r.Leave(c.peers[1].ID)
	body, due := r.Next()
	if !due || !slices.Equal(body.Left, []Slot{1}) {
		t.Fatalf("round 1 due: %v, %v leave; want slot 1", due, body.Left)
	}
	if err := r.Committed(c.certify(&body)); err != nil {
		t.Fatal(err)
	}
	r.Elapse(5000)
	if body, due := r.Next(); due {
		t.Errorf("round 2 closes over %d contributions, nobody of the roster is in", len(body.List))
	}
}
