package aggregator

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/skein-train/skein/gradients"
)

// ErrInvalid is wrapped by every error about a certificate that breaks the rules of the log.
var ErrInvalid = errors.New("invalid certificate")

// Roster says which slots are active, and whose they are.
type Roster struct {
	active []Admitted      // ascending by slot
	slots  map[PeerID]Slot // every slot ever given
}

// Slots lists the active slots, ascending.
func (r *Roster) Slots() []Slot {
	out := make([]Slot, len(r.active))
	for i, a := range r.active {
		out[i] = a.Slot
	}
	return out
}

// Peers lists the active peers in the order of their slots.
func (r *Roster) Peers() []PeerID {
	out := make([]PeerID, len(r.active))
	for i, a := range r.active {
		out[i] = a.Peer
	}
	return out
}

// Slot returns an active peer's slot.
func (r *Roster) Slot(p PeerID) (Slot, bool) {
	s, ok := r.slots[p]
	return s, ok && slices.Contains(r.active, Admitted{s, p})
}

// next is the slot that an admission of p would get.
func (r *Roster) next(p PeerID) Slot {
	if s, ok := r.slots[p]; ok {
		return s
	}
	return Slot(len(r.slots))
}

func (r *Roster) clone() Roster {
	return Roster{active: slices.Clone(r.active), slots: maps.Clone(r.slots)}
}

// change applies a certificate's roster change, or says why it is none.
func (r *Roster) change(joined []Admitted, left []Slot) error {
	for i, s := range left {
		at := slices.IndexFunc(r.active, func(a Admitted) bool { return a.Slot == s })
		if at < 0 || i > 0 && left[i-1] >= s {
			return fmt.Errorf("%w: slot %d cannot leave", ErrInvalid, s)
		}
		r.active = slices.Delete(r.active, at, at+1)
	}
	for i, a := range joined {
		if _, active := r.Slot(a.Peer); active || a.Slot != r.next(a.Peer) || i > 0 && joined[i-1].Slot >= a.Slot {
			return fmt.Errorf("%w: peer %v cannot join as slot %d", ErrInvalid, a.Peer, a.Slot)
		}
		r.slots[a.Peer] = a.Slot
		at, _ := slices.BinarySearchFunc(r.active, a, bySlot)
		r.active = slices.Insert(r.active, at, a)
	}
	if len(r.active) > MaxRoster {
		return fmt.Errorf("%w: %d workers, at most %d allowed", ErrInvalid, len(r.active), MaxRoster)
	}
	return nil
}

func bySlot(a, b Admitted) int { return cmp.Compare(a.Slot, b.Slot) }

// Chain follows the log of one run certificate by certificate and refuses whatever does not follow from its manifest,
// its rules and the signatures of a quorum. A Chain that NewChain made stands before the genesis.
type Chain struct {
	manifest *Manifest
	run      Hash
	tip      *Certificate // nil before the genesis
	tipHash  Hash
	roster   Roster
	partners map[PeerID]PeerID // who exchanges the next round with whom, in a round of pairs
	counted  map[PeerID]Seq    // the last round that counted a worker
}

// NewChain returns a Chain that expects the genesis of the manifest's run.
func NewChain(m *Manifest) *Chain {
	return &Chain{manifest: m, run: m.Hash(), roster: Roster{slots: map[PeerID]Slot{}}, counted: map[PeerID]Seq{}}
}

// Manifest is the run's manifest.
func (c *Chain) Manifest() *Manifest { return c.manifest }

// Tip is the last certificate that was added; nil before the genesis.
func (c *Chain) Tip() *Certificate { return c.tip }

// Roster is the roster after the tip.
func (c *Chain) Roster() *Roster { return &c.roster }

// Closed reports whether the tip ends the run.
func (c *Chain) Closed() bool { return c.tip != nil && c.tip.Kind == Closing }

// next is the sequence number that the chain waits for.
func (c *Chain) next() Seq {
	if c.tip == nil {
		return 0
	}
	return c.tip.Seq + 1
}

// Add checks a certificate whole, signatures included, and makes it the tip.
func (c *Chain) Add(cert *Certificate) error {
	if err := c.checkSignatures(cert); err != nil {
		return err
	}
	return c.Follow(cert)
}

// Follow is Add without the committee's signatures: for certificates whose signatures somebody has checked before, as
// every Exchange does.
func (c *Chain) Follow(cert *Certificate) error {
	roster, err := c.after(&cert.Body)
	if err != nil {
		return err
	}
	c.tip, c.tipHash, c.roster = cert, cert.Hash(), roster
	c.partners = c.meetings()
	for i := range cert.List {
		c.counted[cert.List[i].Worker] = cert.Seq
	}
	return nil
}

// CheckBody reports the first way in which a body does not follow the tip.
func (c *Chain) CheckBody(b *Body) error {
	_, err := c.after(b)
	return err
}

// after is the roster after a body that follows the tip, or the first rule that it breaks.
func (c *Chain) after(b *Body) (Roster, error) {
	if err := c.checkBody(b); err != nil {
		return Roster{}, err
	}
	roster := c.roster.clone()
	return roster, roster.change(b.Joined, b.Left)
}

func (c *Chain) checkSignatures(cert *Certificate) error {
	body, seen := cert.encode(), map[uint8]bool{}
	for _, e := range cert.Signatures {
		if int(e.Member) >= len(c.manifest.Committee) || seen[e.Member] {
			return fmt.Errorf("%w %d: signature of member %d, unknown or repeated", ErrInvalid, cert.Seq, e.Member)
		}
		if !c.manifest.Committee[e.Member].Verify(certificateDomain, body, e.Signature) {
			return fmt.Errorf("%w %d: bad signature of member %d", ErrInvalid, cert.Seq, e.Member)
		}
		seen[e.Member] = true
	}
	if len(seen) < c.manifest.Quorum() {
		return fmt.Errorf("%w %d: %d signatures, %d needed", ErrInvalid, cert.Seq, len(seen), c.manifest.Quorum())
	}
	return nil
}

func (c *Chain) checkBody(b *Body) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w %d: "+format, append([]any{ErrInvalid, b.Seq}, args...)...)
	}
	want := c.next()
	switch {
	case b.Run != c.run:
		return bad("it belongs to run %s, this is %s", b.Run.Short(), c.run.Short())
	case b.Seq != want:
		return bad("number %d expected", want)
	case b.Previous != c.tipHash:
		return bad("it follows %s, the tip is %s", b.Previous.Short(), c.tipHash.Short())
	case c.Closed():
		return bad("the run was closed by number %d", c.tip.Seq)
	case !b.Announce.valid(want):
		return bad("it cannot announce a checkpoint of round %d", b.Announce.Seq)
	}
	switch b.Kind {
	case Genesis:
		if want != 0 || b.Key != (gradients.Key{}) || b.Base != 0 || b.BaseRoot != c.manifest.FirstRoot ||
			b.Beacon != c.manifest.firstBeacon() || b.Cursor != 0 || len(b.List)+len(b.Left) > 0 {
			return bad("it is not this manifest's genesis")
		}
	case Round:
		if want == 0 || b.Seq > c.manifest.Schedule.Rounds() {
			return bad("no round is due")
		}
		if err := c.checkRound(b); err != nil {
			return err
		}
	case Closing:
		last := c.manifest.Schedule.Rounds()
		if b.Seq != last+1 || b.Key != (gradients.Key{}) || b.Base != last || b.Beacon != c.tip.Beacon || b.Cursor != c.tip.Cursor ||
			len(b.List)+len(b.Joined)+len(b.Left) > 0 {
			return bad("the run does not end here")
		}
	default:
		return bad("unknown kind %d", b.Kind)
	}
	return nil
}

func (c *Chain) checkRound(b *Body) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w %d: "+format, append([]any{ErrInvalid, b.Seq}, args...)...)
	}
	if err := c.checkTurn(b); err != nil {
		return bad("%w", err)
	}
	if b.Cursor != c.cursor() {
		return bad("data cursor %d, expected %d", b.Cursor, c.cursor())
	}
	if len(b.List) == 0 && b.BaseRoot != (Hash{}) {
		return bad("an empty round certifies no root")
	}
	if b.Beacon != beacon(c.tip.Beacon, b) {
		return bad("the beacon does not follow from the list")
	}
	for i := range b.List {
		e := &b.List[i]
		if slot, ok := c.roster.Slot(e.Worker); !ok || slot != e.Slot {
			return bad("worker %v is not slot %d of the roster", e.Worker, e.Slot)
		}
		if i > 0 && b.List[i-1].Slot >= e.Slot {
			return bad("the list is not ascending by slot")
		}
		if err := c.CheckHeader(&e.SignedHeader); err != nil {
			return fmt.Errorf("%w %d: %w", ErrInvalid, b.Seq, err)
		}
		if e.Key != b.Key || e.BaseRoot != b.BaseRoot || e.Weight != c.weight(&e.SignedHeader) {
			return bad("slot %d is counted against the rules", e.Slot)
		}
	}
	return nil
}

// checkTurn reports why a round is not the one that is due: by the schedule, or in an asynchronous run by the contribution that
// it counts.
func (c *Chain) checkTurn(b *Body) error {
	s := c.manifest.Schedule
	switch {
	case !c.manifest.Async():
		if b.Key != s.Key(b.Seq) || b.Base != s.Base(b.Seq) {
			return fmt.Errorf("departure %v from base %d is not on the schedule", b.Key, b.Base)
		}
	case b.Base >= b.Seq || b.Key != s.Key(b.Base+1):
		return fmt.Errorf("departure %v from base %d is none", b.Key, b.Base)
	case len(b.List) > 1:
		return fmt.Errorf("%d contributions, an asynchronous round counts one", len(b.List))
	case len(b.List) == 1 && (b.Seq-1-b.Base > c.manifest.MaxStaleness || b.Base < c.counted[b.List[0].Worker]):
		return fmt.Errorf("slot %d counts from round %d, which is too old", b.List[0].Slot, b.Base)
	}
	return nil
}

// cursor is where the next round's reservation starts: behind the one that the tip made.
func (c *Chain) cursor() uint64 {
	return c.tip.Cursor + uint64(len(c.seats()))*c.manifest.Share(c.tip.Seq)
}

// seats are the slots that the tip reserves data for, ascending: the roster's; in an asynchronous run those that have nothing left,
// whoever was counted and whoever joined.
func (c *Chain) seats() []Slot {
	if !c.manifest.Async() {
		return c.roster.Slots()
	}
	var out []Slot
	for _, e := range c.tip.List {
		out = append(out, e.Slot)
	}
	for _, a := range c.tip.Joined {
		out = append(out, a.Slot)
	}
	slices.Sort(out)
	return out
}

// Answered says whether the log has passed a contribution that is in order: no later round can count it. In an asynchronous run that is one that
// is too old, or not newer than what counted its worker last.
func (c *Chain) Answered(h *SignedHeader) bool {
	n, _ := c.manifest.Schedule.Departs(h.Key.Departure)
	if !c.manifest.Async() {
		return n < c.next()
	}
	return h.Base < c.counted[h.Worker] || c.next()-min(c.next(), h.Base+1) > c.manifest.MaxStaleness // no sum: it could wrap
}

// weight is what a contribution counts: the tokens that its worker claims, at most those reserved for it.
func (c *Chain) weight(h *SignedHeader) uint64 {
	m := c.manifest
	return min(h.Tokens, m.Schedule.Stride()*m.BatchSize*m.SeqLen)
}

// CheckHeader reports why a header is no contribution to this run on the schedule's terms: other run, other schedule,
// stale base, other start, no work, bad signature. Whether it comes in time, and from the roster, is for Rounds to say.
func (c *Chain) CheckHeader(h *SignedHeader) error {
	s := c.manifest.Schedule
	n, ok := s.Departs(h.Key.Departure)
	switch {
	case h.Run != c.run:
		return fmt.Errorf("%w: contribution to run %s, this is %s", ErrOtherRun, h.Run.Short(), c.run.Short())
	case !ok || n > s.Rounds() || h.Key != s.Key(n):
		return fmt.Errorf("%w: departure %v is not on the schedule", ErrMalformed, h.Key)
	case h.Base != s.Base(n):
		return fmt.Errorf("%w: counts from round %d, expected %d", ErrStale, h.Base, s.Base(n))
	case h.Base == 0 && h.BaseRoot != c.manifest.FirstRoot:
		return fmt.Errorf("%w: counts from root %s, the run starts from %s", ErrDiverged, h.BaseRoot.Short(), c.manifest.FirstRoot.Short())
	case h.Tokens == 0:
		return fmt.Errorf("%w: contribution that stands for no tokens", ErrMalformed)
	case !h.Verify():
		return fmt.Errorf("%w: header is not signed by %v", ErrMalformed, h.Worker)
	}
	return nil
}
