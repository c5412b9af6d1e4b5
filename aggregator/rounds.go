package aggregator

import (
	"errors"
	"fmt"
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
// A round closes when every worker of the roster is in, or when the deadline has passed since its first offer and at
// least MinPeers are in. Who is absent then leaves the roster, and may ask to join again: a worker that dies costs one
// deadline, not one per round.
type Rounds struct {
	chain  *Chain
	offers map[Seq]map[PeerID]*SignedHeader // open rounds
	roots  map[PeerID]Hash                  // reports of the final root
	joins  []PeerID                         // who asked, in the order of asking
	leaves map[PeerID]bool                  // who said goodbye
	waited Millis                           // since the first offer for the next round
	news   Announcement                     // the last checkpoint, not yet in the log
}

// NewRounds starts the machine at the chain's tip; the chain is the machine's own from then on.
func NewRounds(c *Chain) *Rounds {
	return &Rounds{chain: c, offers: map[Seq]map[PeerID]*SignedHeader{}, roots: map[PeerID]Hash{}, leaves: map[PeerID]bool{}}
}

// Chain is the chain that the machine extends.
func (r *Rounds) Chain() *Chain { return r.chain }

// Offer takes a contribution whose payload is at hand and passed the codec's check. It is idempotent: the same header
// again is no error.
func (r *Rounds) Offer(h SignedHeader) error {
	if err := r.chain.CheckHeader(&h); err != nil {
		return err
	}
	n := Seq(h.Key.Departure / r.chain.manifest.Schedule.Stride())
	due := r.chain.next()
	if _, ok := r.chain.roster.Slot(h.Worker); !ok {
		return fmt.Errorf("%w: %v", ErrNotOnList, h.Worker)
	}
	if n < due {
		if _, counted := r.chain.tip.Counts(h.Worker); counted && n == r.chain.tip.Seq {
			return nil
		}
		return fmt.Errorf("%w: %v for round %d, round %d is open", ErrLate, h.Worker, n, due)
	}
	if n > due+r.horizon() {
		return fmt.Errorf("%w: %v for round %d, round %d is open", ErrEarly, h.Worker, n, due)
	}
	if r.offers[n] == nil {
		r.offers[n] = map[PeerID]*SignedHeader{}
	}
	if old := r.offers[n][h.Worker]; old != nil && old.Header != h.Header {
		return fmt.Errorf("%w: %v, round %d", ErrRepeated, h.Worker, n)
	}
	r.offers[n][h.Worker] = &h
	delete(r.leaves, h.Worker)
	return nil
}

// horizon is how many rounds may be open beyond the next one: those that can be in flight on the schedule.
func (r *Rounds) horizon() Seq {
	s := r.chain.manifest.Schedule
	return Seq(1 + s.Delay/s.Stride())
}

// Join notes that a peer asks to be admitted; it is admitted by the next certificate.
func (r *Rounds) Join(p PeerID) {
	if _, active := r.chain.roster.Slot(p); !active && !slices.Contains(r.joins, p) {
		r.joins = append(r.joins, p)
	}
}

// Leave notes that a worker says goodbye: the next round does not wait for it.
func (r *Rounds) Leave(p PeerID) { r.leaves[p] = true }

// Reached notes the root that a worker reports after a round. Only the last round's are kept: contributions carry the others.
func (r *Rounds) Reached(p PeerID, n Seq, root Hash) {
	if _, active := r.chain.roster.Slot(p); active && n == r.chain.manifest.Schedule.Rounds() {
		r.roots[p] = root
	}
}

// Announce notes a published checkpoint; the next certificate carries it.
func (r *Rounds) Announce(a Announcement) { r.news = a }

// Elapse says that time has passed.
func (r *Rounds) Elapse(ms Millis) {
	if len(r.offers[r.chain.next()]) > 0 || len(r.roots) > 0 {
		r.waited += ms
	}
}

// Waiting names the workers that the next round waits for, in the order of their slots.
func (r *Rounds) Waiting() []PeerID {
	var out []PeerID
	for _, p := range r.chain.roster.Peers() {
		if r.offers[r.chain.next()][p] == nil && !r.leaves[p] {
			out = append(out, p)
		}
	}
	return out
}

// Short reports by how many contributions an overdue round falls short of MinPeers; 0 if it does not.
func (r *Rounds) Short() int {
	m := r.chain.manifest
	if r.waited < m.Deadline {
		return 0
	}
	return max(0, m.MinPeers-len(r.offers[r.chain.next()]))
}

// Next returns the body that is due, if one is. It does not change the machine: Committed does.
func (r *Rounds) Next() (Body, bool) {
	m := r.chain.manifest
	switch due := r.chain.next(); {
	case r.chain.Closed() || due == 0:
		return Body{}, false
	case due > m.Schedule.Rounds():
		return r.closing()
	case len(r.chain.roster.active) == 0:
		return r.round(nil, Hash{}), len(r.joins) > 0
	default:
		return r.due(r.offers[due])
	}
}

// due closes the next round over its offers, if it may be closed.
func (r *Rounds) due(in map[PeerID]*SignedHeader) (Body, bool) {
	m := r.chain.manifest
	overdue := r.waited >= m.Deadline && len(in) >= max(1, m.MinPeers)
	if len(in) == 0 || len(r.Waiting()) > 0 && !overdue {
		return Body{}, false
	}
	root := agreed(in, r.chain.roster.Peers())
	return r.round(in, root), true
}

// agreed is the base root that most contributions count from; the lowest slot decides a tie.
func agreed(in map[PeerID]*SignedHeader, order []PeerID) (best Hash) {
	votes := map[Hash]int{}
	for _, p := range order {
		if h := in[p]; h != nil {
			votes[h.BaseRoot]++
		}
	}
	for _, p := range order {
		if h := in[p]; h != nil && votes[h.BaseRoot] > votes[best] {
			best = h.BaseRoot
		}
	}
	return best
}

// round writes the body of the next round. Contributions that count from another root are left out, and their
// workers leave the roster like the absent: they have to fetch the certified state first.
func (r *Rounds) round(in map[PeerID]*SignedHeader, root Hash) Body {
	c := r.chain
	n := c.next()
	b := Body{
		Kind: Round, Run: c.run, Seq: n, Previous: c.tipHash,
		Key: c.manifest.Schedule.Key(n), Base: c.manifest.Schedule.Base(n), BaseRoot: root,
		Cursor: c.cursor(), Announce: r.news,
	}
	for _, a := range c.roster.active {
		h := in[a.Peer]
		if h == nil || h.BaseRoot != root {
			b.Left = append(b.Left, a.Slot)
			continue
		}
		b.List = append(b.List, Included{Slot: a.Slot, Weight: c.weight(h), SignedHeader: *h})
		if r.leaves[a.Peer] {
			b.Left = append(b.Left, a.Slot)
		}
	}
	after := c.roster.clone()
	for _, p := range r.joins {
		a := Admitted{Slot: after.next(p), Peer: p}
		if after.change([]Admitted{a}, nil) == nil {
			b.Joined = append(b.Joined, a)
		}
	}
	b.Beacon = beacon(c.tip.Beacon, &b)
	return b
}

// closing ends the run once every worker has reported the final root, or the deadline has passed since the first report.
func (r *Rounds) closing() (Body, bool) {
	c := r.chain
	reported := map[PeerID]*SignedHeader{}
	for p, root := range r.roots {
		reported[p] = &SignedHeader{Header: Header{BaseRoot: root}}
	}
	if len(reported) == 0 || len(reported) < len(c.roster.active) && r.waited < c.manifest.Deadline {
		return Body{}, false
	}
	last := c.manifest.Schedule.Rounds()
	return Body{
		Kind: Closing, Run: c.run, Seq: last + 1, Previous: c.tipHash, Base: last,
		BaseRoot: agreed(reported, c.roster.Peers()), Announce: r.news, Cursor: c.tip.Cursor, Beacon: c.tip.Beacon,
	}, true
}

// Committed moves the machine past a certificate, its own or one that it was shown.
func (r *Rounds) Committed(cert *Certificate) error {
	if err := r.chain.Add(cert); err != nil {
		return err
	}
	delete(r.offers, cert.Seq)
	r.waited = 0
	r.joins = slices.DeleteFunc(r.joins, func(p PeerID) bool { _, active := r.chain.roster.Slot(p); return active })
	for _, a := range cert.Joined {
		delete(r.leaves, a.Peer)
	}
	if cert.Announce == r.news {
		r.news = Announcement{}
	}
	return nil
}
