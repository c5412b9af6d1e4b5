package ipfs

import (
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Limits of asking.
const (
	perPeer      = 4                // blocks that one peer owes at a time: enough that it always has one to send
	maxStrangers = 2 * perPeer      // blocks nobody asked for, after which a peer is not asked again; a peer may hold perPeer old wants of a process that was killed
	overtaken    = 2 * perPeer      // later asks that a peer answered first: the block got lost in its queue
	ramp         = 16               // blocks that have to come before one more peer is asked at the same time
	stallAfter   = 30 * time.Second // without a block from a peer that owes some
	askAgain     = 5 * time.Second  // before a peer that lacked a block is asked for it once more
	remembered   = 4096             // blocks that were asked for lately, to tell a late one from a stranger
)

// asks decides which peer is asked for which block, and asks one peer at a time for each. It is pure: events and time
// come in, messages go out.
type asks struct {
	peers  map[peer.ID]*source
	wanted map[cid.Cid]*want
	queue  []*want // asked of nobody at the moment, the oldest first
	recent ring
	came   int // blocks that arrived
	out    []ask
}

// ask is one entry of a message: a wish, or its withdrawal.
type ask struct {
	to     peer.ID
	block  cid.Cid
	cancel bool
}

type want struct {
	block   cid.Cid
	from    peer.ID               // who is asked; empty while it is in the queue
	passed  int                   // later asks that the peer answered first
	lacking map[peer.ID]time.Time // when who lacked it
}

// source is a connected peer.
type source struct {
	id        peer.ID
	owed      []*want // in the order of asking
	heard     time.Time
	misses    int // times in a row that it had not what it was asked for
	strangers int
}

// outcome is what became of a received block.
type outcome int

const (
	delivered outcome = iota
	duplicate
	stranger
)

func newAsks() *asks {
	return &asks{peers: map[peer.ID]*source{}, wanted: map[cid.Cid]*want{}, recent: ring{at: map[cid.Cid]bool{}}}
}

// take returns the messages that are due.
func (a *asks) take() []ask {
	out := a.out
	a.out = nil
	return out
}

// add wants a block.
func (a *asks) add(c cid.Cid, now time.Time) {
	if a.wanted[c] != nil {
		return
	}
	w := &want{block: c, lacking: map[peer.ID]time.Time{}}
	a.wanted[c] = w
	a.queue = append(a.queue, w)
	a.recent.add(c)
	a.assign(now)
}

// drop wants a block no more.
func (a *asks) drop(c cid.Cid, now time.Time) {
	w := a.wanted[c]
	if w == nil {
		return
	}
	a.forget(w)
	a.assign(now)
}

// forget ends a want, wherever it is.
func (a *asks) forget(w *want) {
	delete(a.wanted, w.block)
	if w.from == "" {
		a.queue = without(a.queue, w)
		return
	}
	a.cancel(w)
}

// cancel withdraws a want from the peer that owes it.
func (a *asks) cancel(w *want) {
	a.out = append(a.out, ask{to: w.from, block: w.block, cancel: true})
	a.peers[w.from].owed = without(a.peers[w.from].owed, w)
	w.from = ""
}

// connected adds a peer that can be asked.
func (a *asks) connected(p peer.ID, now time.Time) {
	if a.peers[p] == nil {
		a.peers[p] = &source{id: p}
		a.assign(now)
	}
}

// gone moves what a peer owed to the others.
func (a *asks) gone(p peer.ID, now time.Time) {
	s := a.peers[p]
	if s == nil {
		return
	}
	delete(a.peers, p)
	for _, w := range s.owed {
		w.from = ""
	}
	a.queue = append(slices.Clone(s.owed), a.queue...)
	a.assign(now)
}

// arrived takes note of a block.
func (a *asks) arrived(p peer.ID, c cid.Cid, now time.Time) outcome {
	s, w := a.peers[p], a.wanted[c]
	if w == nil {
		if a.recent.at[c] || s == nil {
			return duplicate
		}
		a.strange(s, now)
		return stranger
	}
	if s != nil {
		s.heard, s.misses = now, 0
		a.overtake(s, w, now)
	}
	a.came++
	if w.from == p && s != nil {
		s.owed = without(s.owed, w)
		delete(a.wanted, c)
	} else {
		a.forget(w)
	}
	a.assign(now)
	return delivered
}

// overtake counts what a peer was asked for before, and asks others for what it seems to have lost.
func (a *asks) overtake(s *source, w *want, now time.Time) {
	at := slices.Index(s.owed, w)
	if at < 0 {
		return
	}
	for _, older := range slices.Clone(s.owed[:at]) {
		if older.passed++; older.passed >= overtaken {
			a.release(s, older, now)
		}
	}
}

// strange notes a block that nobody asked for. It most likely stands in the place of the oldest one that the peer owes.
func (a *asks) strange(s *source, now time.Time) {
	s.strangers++
	if len(s.owed) == 0 {
		return
	}
	s.misses++
	a.release(s, s.owed[0], now)
	for s.strangers >= maxStrangers && len(s.owed) > 0 {
		a.release(s, s.owed[0], now)
	}
	a.assign(now)
}

// release puts a want back into the queue, to be asked of somebody else.
func (a *asks) release(s *source, w *want, now time.Time) {
	a.cancel(w)
	w.lacking[s.id], w.passed = now, 0
	a.queue = append([]*want{w}, a.queue...)
}

// lacks takes note that a peer has not a block.
func (a *asks) lacks(p peer.ID, c cid.Cid, now time.Time) {
	s, w := a.peers[p], a.wanted[c]
	if s == nil || w == nil || w.from != p {
		return
	}
	s.misses++
	s.heard = now
	a.release(s, w, now) // the withdrawal keeps the peer from sending it once it has it
	a.assign(now)
}

// tick releases what stalled, and asks again.
func (a *asks) tick(now time.Time) {
	for _, s := range a.peers {
		if len(s.owed) == 0 || now.Sub(s.heard) < stallAfter {
			continue
		}
		s.misses++
		for len(s.owed) > 0 {
			a.release(s, s.owed[0], now)
		}
	}
	a.assign(now)
}

// assign asks for what is in the queue, as far as somebody may be asked.
func (a *asks) assign(now time.Time) {
	var rest []*want
	for _, w := range a.queue {
		s := a.choose(w, now)
		if s == nil {
			rest = append(rest, w)
			continue
		}
		if len(s.owed) == 0 {
			s.heard = now
		}
		w.from, w.passed = s.id, 0
		s.owed = append(s.owed, w)
		a.out = append(a.out, ask{to: s.id, block: w.block})
	}
	a.queue = rest
}

// choose picks the peer for a want: one that had what it was asked for before one that had not, then the one that owes
// least. nil means that there is none, or that it is better to wait until a good one is free.
//
// How many peers are busy grows with what has come: each of them has a block half sent when this process is killed, and
// one that is killed again and again should lose little every time.
func (a *asks) choose(w *want, now time.Time) *source {
	var best *source
	full := a.busy() > a.came/ramp
	for _, s := range a.peers {
		at, lacked := w.lacking[s.id]
		if s.strangers >= maxStrangers || lacked && now.Sub(at) < askAgain {
			continue
		}
		if best == nil || better(s, best, full) {
			best = s
		}
	}
	if best != nil && len(best.owed) >= perPeer {
		return nil
	}
	return best
}

// busy counts the peers that owe something.
func (a *asks) busy() (n int) {
	for _, s := range a.peers {
		if len(s.owed) > 0 {
			n++
		}
	}
	return n
}

// better compares two peers. If stay is set, one that is busy comes before one that is not.
func better(a, b *source, stay bool) bool {
	if (a.misses > 0) != (b.misses > 0) {
		return b.misses > 0
	}
	if aBusy := len(a.owed) > 0; stay && aBusy != (len(b.owed) > 0) {
		return aBusy
	}
	if len(a.owed) != len(b.owed) {
		return len(a.owed) < len(b.owed)
	}
	return a.id < b.id
}

func without(list []*want, w *want) []*want {
	return slices.DeleteFunc(list, func(x *want) bool { return x == w })
}

// ring remembers the last CIDs.
type ring struct {
	at    map[cid.Cid]bool
	order []cid.Cid
}

func (r *ring) add(c cid.Cid) {
	if r.at[c] {
		return
	}
	if len(r.order) == remembered {
		delete(r.at, r.order[0])
		r.order = r.order[1:]
	}
	r.at[c] = true
	r.order = append(r.order, c)
}
