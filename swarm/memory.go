package swarm

import (
	"maps"
	"sync"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// memory is what the committee remembers of the last rounds, beyond what the log says: why somebody was not counted. A restart
// clears it, but for the rosters.
type memory struct {
	mu     sync.Mutex
	tip    aggregator.Seq
	active map[aggregator.PeerID]bool // roster after the tip
	slots  map[aggregator.Slot]aggregator.PeerID
	rounds map[aggregator.Seq]*recollection
}

// recollection is one round.
type recollection struct {
	roster map[aggregator.PeerID]bool // who had a seat; nil while the round is open
	root   aggregator.Hash            // certified
	closed time.Time
	seen   map[aggregator.PeerID]sight // of members of the roster only
}

// sight is what became of one contribution at first.
type sight struct {
	outcome Outcome
	root    aggregator.Hash
	behind  time.Duration
}

// remembered is how many rounds are kept after they closed.
const remembered = 64

func newMemory() *memory {
	return &memory{
		active: map[aggregator.PeerID]bool{}, slots: map[aggregator.Slot]aggregator.PeerID{}, rounds: map[aggregator.Seq]*recollection{},
	}
}

// note keeps what became of a contribution at first: what comes later does not change it.
func (m *memory) note(h *aggregator.SignedHeader, round aggregator.Seq, o Outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rounds[round]
	if r == nil && round > m.tip {
		r = m.open(round)
	}
	if r == nil || !m.had(r)[h.Worker] {
		return
	}
	if _, known := r.seen[h.Worker]; known {
		return
	}
	s := sight{outcome: o, root: h.BaseRoot}
	if r.roster != nil && o == Late {
		s.behind = time.Since(r.closed)
	}
	r.seen[h.Worker] = s
}

func (m *memory) open(round aggregator.Seq) *recollection {
	r := &recollection{seen: map[aggregator.PeerID]sight{}}
	m.rounds[round] = r
	return r
}

// had is the roster of a round.
func (m *memory) had(r *recollection) map[aggregator.PeerID]bool {
	if r.roster == nil {
		return m.active
	}
	return r.roster
}

// certified closes a round.
func (m *memory) certified(c *aggregator.Certificate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rounds[c.Seq]
	if r == nil {
		r = m.open(c.Seq)
	}
	r.root, r.closed, r.roster = c.BaseRoot, time.Now(), m.active
	m.tip = c.Seq
	delete(m.rounds, c.Seq-remembered)
	if len(c.Joined)+len(c.Left) == 0 {
		return // the rounds share the roster
	}
	m.active = maps.Clone(m.active)
	for _, s := range c.Left {
		delete(m.active, m.slots[s])
	}
	for _, a := range c.Joined {
		m.active[a.Peer], m.slots[a.Slot] = true, a.Peer
	}
}

// recall says what is remembered of a contribution that the log does not count.
func (m *memory) recall(round aggregator.Seq, who aggregator.PeerID) Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := Verdict{Round: round}
	r := m.rounds[round]
	if r == nil && round > m.tip {
		r = &recollection{}
	}
	if r == nil {
		return v
	}
	s, seen := r.seen[who]
	switch {
	case !m.had(r)[who]:
		v.Outcome = NoSeat
	case !seen && r.roster == nil:
		v.Outcome = Pending
	case !seen:
		v.Outcome = Absent
	case s.outcome == Incomplete && r.roster == nil:
		v.Outcome = Received // in a round of pairs
	case s.outcome == Received && r.roster != nil:
		v.Outcome = Stale // it was in, and its root is all that can be wrong with it
	default:
		v.Outcome, v.Behind = s.outcome, s.behind
	}
	return v
}
