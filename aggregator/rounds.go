package aggregator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Why a contribution is not counted. Each is said once to whoever offered it.
var (
	ErrOtherRun  = errors.New("contribution to another run")
	ErrLate      = errors.New("late: the round is closed")
	ErrEarly     = errors.New("early: the round is not open yet")
	ErrStale     = errors.New("stale base")
	ErrNotOnList = errors.New("not in the roster")
	ErrRepeated  = errors.New("a second contribution for the same round")
)

// Rounds is the aggregator role as a pure state machine: events go in (an offer whose payload is on disk, a report, a
// request to join, elapsed time), and Next says what to certify. It signs nothing, sends nothing and reads no clock,
// so every history can be replayed. It belongs to one goroutine.
//
// In a round of pairs nobody but a worker's partner has its payload, so that a contribution counts once both partners say that they have each
// other's, or if the other one is not in. Two that are in and do not both say so by the deadline leave together: nobody but them can
// tell whose fault it was.
//
// A round closes when every worker that it waits for is in, when the deadline has passed since its first offer and at
// least MinPeers are in, or when those have been in for the manifest's grace. It waits for the roster without those who said goodbye or cannot have worked for it yet. Who is
// absent then leaves the roster, and may ask to join again: a worker that dies costs one deadline, not one per round.
//
// Where nobody is to be waited for and nobody is in, an empty round closes, if somebody is there or asks to join. One closes too
// when a round is overdue with fewer than MinPeers in it and somebody asks to join: else the run would stand still for ever.
type Rounds struct {
	chain  *Chain
	first  map[PeerID]Seq                   // the first round that a worker can have worked for since it was last admitted
	offers map[Seq]map[PeerID]*SignedHeader // open rounds
	took   map[PeerID]Hash                  // of the next round, if it is one of pairs: the payload of its partner that a worker has
	line   []*SignedHeader                  // of an asynchronous run: contributions in the order of their coming
	known  map[Seq]Hash                     // of an asynchronous run: the root that contributions first gave for a state
	roots  map[PeerID]Hash                  // reports of the final root
	joins  []PeerID                         // who asked, in the order of asking
	leaves map[PeerID]bool                  // who said goodbye
	waited Millis                           // since the first offer for the next round
	quorum Millis                           // since MinPeers are in for it
	news   Announcement                     // the last checkpoint, not yet in the log
}

// NewRounds starts the machine at the chain's tip; the chain is the machine's own from then on.
func NewRounds(c *Chain) *Rounds {
	return &Rounds{
		chain: c, first: map[PeerID]Seq{}, offers: map[Seq]map[PeerID]*SignedHeader{}, roots: map[PeerID]Hash{}, took: map[PeerID]Hash{}, leaves: map[PeerID]bool{}, known: map[Seq]Hash{},
	}
}

// Chain is the chain that the machine extends.
func (r *Rounds) Chain() *Chain { return r.chain }

// Offer takes a contribution whose payload is at hand and passed the codec's check; in a round of pairs it is for Took to say that it is
// where it should be. It is idempotent: the same header again is no error.
func (r *Rounds) Offer(h SignedHeader) error {
	if err := r.chain.CheckHeader(&h); err != nil {
		return err
	}
	n, _ := r.chain.manifest.Schedule.Departs(h.Key.Departure)
	due := r.chain.next()
	if _, ok := r.chain.roster.Slot(h.Worker); !ok {
		return fmt.Errorf("%w: %v", ErrNotOnList, h.Worker)
	}
	if r.chain.manifest.Async() {
		return r.queue(&h)
	}
	if n < due {
		if e, counted := r.chain.tip.Counts(h.Worker); counted && e.Header == h.Header {
			return nil
		}
		return fmt.Errorf("%w: %v for round %d, round %d is open", ErrLate, h.Worker, n, due)
	}
	if n > due+r.flying()+1 { // one more for a chain that is behind
		return fmt.Errorf("%w: %v for round %d, round %d is open", ErrEarly, h.Worker, n, due)
	}
	if r.offers[n] == nil {
		r.offers[n] = map[PeerID]*SignedHeader{}
	}
	if old := r.offers[n][h.Worker]; old != nil {
		if old.Header != h.Header {
			return fmt.Errorf("%w: %v, round %d", ErrRepeated, h.Worker, n)
		}
		return nil
	}
	r.offers[n][h.Worker] = &h
	delete(r.leaves, h.Worker)
	return nil
}

// Took notes that a worker has its partner's payload of the next round, a round of pairs.
func (r *Rounds) Took(p PeerID, n Seq, payload Hash) {
	if _, paired := r.chain.Partner(p); paired && n == r.chain.next() {
		r.took[p] = payload
	}
}

// met says whether a worker whose contribution is in has exchanged it, or has nobody to exchange it with.
func (r *Rounds) met(p PeerID) bool {
	offers := r.offers[r.chain.next()]
	q, paired := r.chain.Partner(p)
	if !paired || offers[q] == nil || r.leaves[q] {
		return true
	}
	return r.took[p] == offers[q].Payload && r.took[q] == offers[p].Payload
}

// flying is how many departures lie between a round's own and its landing.
func (r *Rounds) flying() Seq {
	s := r.chain.manifest.Schedule
	return Seq(s.Delay / s.Stride())
}

// Join notes that a peer asks to be admitted; the next certificate admits it while there is room. A worker that is in
// takes back its goodbye.
func (r *Rounds) Join(p PeerID) {
	if _, active := r.chain.roster.Slot(p); active {
		delete(r.leaves, p)
	} else if !slices.Contains(r.joins, p) && len(r.joins) < MaxRoster {
		r.joins = append(r.joins, p)
	}
}

// Leave notes that a worker says goodbye, so that no round waits for it, or that a peer asks no longer to join.
func (r *Rounds) Leave(p PeerID) {
	if _, active := r.chain.roster.Slot(p); active {
		r.leaves[p] = true
	}
	r.joins = slices.DeleteFunc(r.joins, func(q PeerID) bool { return q == p })
}

// Reached notes the root that a worker reports after a round. Only the last round's are kept: contributions carry the others.
func (r *Rounds) Reached(p PeerID, n Seq, root Hash) {
	if _, active := r.chain.roster.Slot(p); active && n == r.chain.manifest.Schedule.Rounds() {
		r.roots[p] = root
	}
}

// Announce notes a published checkpoint; the next certificate carries it. What no certificate may carry is dropped.
func (r *Rounds) Announce(a Announcement) {
	if a.valid(r.chain.next()) {
		r.news = a
	}
}

// Elapse says that time has passed.
func (r *Rounds) Elapse(ms Millis) {
	if len(r.in()) > 0 {
		r.waited += ms
	}
	if len(r.in()) >= r.chain.manifest.MinPeers {
		r.quorum += ms
	}
}

// in is what has come for the next entry of the log: the offers for the next round, or the reports of the final root
// as headers that hold nothing else.
func (r *Rounds) in() map[PeerID]*SignedHeader {
	due := r.chain.next()
	if due <= r.chain.manifest.Schedule.Rounds() {
		if r.chain.manifest.Async() {
			return r.front()
		}
		return r.offers[due]
	}
	in := map[PeerID]*SignedHeader{}
	for _, p := range r.chain.roster.Peers() {
		if root, ok := r.roots[p]; ok {
			in[p] = &SignedHeader{Header: Header{BaseRoot: root}}
		}
	}
	return in
}

// Waiting names the workers that the next round, or the closing, waits for, in the order of their slots.
func (r *Rounds) Waiting() []PeerID {
	var out []PeerID
	in := r.in()
	if r.chain.manifest.Async() && r.chain.next() <= r.chain.manifest.Schedule.Rounds() {
		return nil
	}
	for _, p := range r.chain.roster.Peers() {
		if (in[p] == nil && !r.fresh(p) || in[p] != nil && !r.met(p)) && !r.leaves[p] {
			out = append(out, p)
		}
	}
	return out
}

// fresh reports whether a worker was admitted so lately that it cannot have worked for the next round: with a delay of
// more than a stride several rounds depart before the one that admits it lands.
func (r *Rounds) fresh(p PeerID) bool { return r.chain.next() < r.first[p] }

// Short reports by how many contributions an overdue round falls short of MinPeers; 0 if it does not.
func (r *Rounds) Short() int {
	m := r.chain.manifest
	if r.waited < m.Deadline || r.chain.next() > m.Schedule.Rounds() {
		return 0
	}
	return max(0, m.MinPeers-len(r.in()))
}

// Next returns the body that is due, if one is. It does not change the machine: Committed does.
func (r *Rounds) Next() (Body, bool) {
	in, last := r.in(), r.chain.manifest.Schedule.Rounds()
	switch due := r.chain.next(); {
	case due == 0 || r.chain.Closed() || !r.ripe(in, due <= last):
		return Body{}, false
	case due > last:
		return r.closing(in), true
	default:
		return r.round(in), true
	}
}

// ripe reports whether the next round, or the closing, can be closed over what is in.
func (r *Rounds) ripe(in map[PeerID]*SignedHeader, round bool) bool {
	m, waits := r.chain.manifest, len(r.Waiting()) > 0
	if len(in) == 0 && m.Async() && len(r.leaves) < len(r.chain.roster.active) {
		return false // who joins is admitted with the next contribution
	}
	if len(in) == 0 {
		return round && !waits && (len(r.joins) > 0 || len(r.leaves) < len(r.chain.roster.active))
	}
	if grace := m.Grace; round && grace > 0 && len(in) >= m.MinPeers && r.quorum >= grace {
		return true
	}
	return !waits || r.waited >= m.Deadline && (!round || len(in) >= m.MinPeers || len(r.joins) > 0)
}

// short reports whether an overdue round is closed for the sake of those who ask to join: too few are in for it to count, and
// with nobody admitted there would never be more. It counts nobody, and whoever is in keeps its seat.
func (r *Rounds) short(in map[PeerID]*SignedHeader) bool {
	return !r.chain.manifest.Async() && len(in) > 0 && len(in) < r.chain.manifest.MinPeers && len(r.Waiting()) > 0
}

// agreed is the base root that most contributions count from; the lowest slot decides a tie.
func agreed(in map[PeerID]*SignedHeader, order []PeerID) (best Hash) {
	votes, most := map[Hash]int{}, 0
	for _, p := range order {
		if h := in[p]; h != nil {
			votes[h.BaseRoot]++
		}
	}
	for _, p := range order {
		if h := in[p]; h != nil && votes[h.BaseRoot] > most {
			best, most = h.BaseRoot, votes[h.BaseRoot]
		}
	}
	return best
}

// round writes the body of the next round. Contributions that count from another root than most are left out, and
// their workers leave the roster like the absent: they have to fetch the certified state first.
func (r *Rounds) round(in map[PeerID]*SignedHeader) Body {
	c := r.chain
	n, complete := c.next(), maps.Clone(in)
	maps.DeleteFunc(complete, func(p PeerID, _ *SignedHeader) bool { return !r.met(p) })
	short := r.short(in)
	if short {
		clear(complete)
	}
	root := agreed(complete, c.roster.Peers())
	b := Body{
		Kind: Round, Run: c.run, Seq: n, Previous: c.tipHash,
		Key: c.manifest.Schedule.Key(n), Base: c.manifest.Schedule.Base(n), BaseRoot: root,
		Cursor: c.cursor(), Announce: r.news,
	}
	if c.manifest.Async() {
		b.Base = n - 1
		for _, h := range in {
			b.Base = h.Base
		}
		b.Key = c.manifest.Schedule.Key(b.Base + 1)
	}
	for _, a := range c.roster.active {
		h := in[a.Peer]
		counted := complete[a.Peer] != nil && h.BaseRoot == root
		if counted {
			b.List = append(b.List, Included{Slot: a.Slot, Weight: c.weight(h), SignedHeader: *h})
		}
		if stays := counted || h == nil && (r.fresh(a.Peer) || c.manifest.Async()) || h != nil && short; !stays || r.leaves[a.Peer] {
			b.Left = append(b.Left, a.Slot)
		}
	}
	after := c.roster.clone()
	for _, p := range r.joins[:min(len(r.joins), MaxRoster-len(c.roster.active)+len(b.Left))] {
		a := Admitted{Slot: after.next(p), Peer: p}
		after.slots[p] = a.Slot
		b.Joined = append(b.Joined, a)
	}
	slices.SortFunc(b.Joined, bySlot)
	b.Beacon = beacon(c.tip.Beacon, &b)
	return b
}

// closing writes the body that ends the run, over the reports of the final root.
func (r *Rounds) closing(reports map[PeerID]*SignedHeader) Body {
	c := r.chain
	last := c.manifest.Schedule.Rounds()
	return Body{
		Kind: Closing, Run: c.run, Seq: last + 1, Previous: c.tipHash, Base: last,
		BaseRoot: agreed(reports, c.roster.Peers()), Announce: r.news, Cursor: c.tip.Cursor, Beacon: c.tip.Beacon,
	}
}

// Committed moves the machine past a certificate, its own or one that it was shown.
func (r *Rounds) Committed(cert *Certificate) error {
	if err := r.chain.Add(cert); err != nil {
		return err
	}
	r.waited, r.quorum = 0, 0
	r.overtaken()
	active := func(p PeerID) bool { _, ok := r.chain.roster.Slot(p); return ok }
	delete(r.offers, cert.Seq)
	clear(r.took)
	for _, in := range r.offers { // of who left nothing is counted any more
		maps.DeleteFunc(in, func(p PeerID, _ *SignedHeader) bool { return !active(p) })
	}
	maps.DeleteFunc(r.leaves, func(p PeerID, _ bool) bool { return !active(p) })
	r.joins = slices.DeleteFunc(r.joins, active)
	for _, a := range cert.Joined {
		r.first[a.Peer] = 1
		if cert.Seq > 0 {
			r.first[a.Peer] = cert.Seq + 1 + r.flying()
		}
	}
	if cert.Announce == r.news {
		r.news = Announcement{}
	}
	return nil
}
