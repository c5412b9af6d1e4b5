package aggregator

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"

	"github.com/skein-train/skein/gradients"
)

// State is what a worker carries from round to round.
type State struct {
	// Shared: the fold of the log, equal bit by bit on every worker.
	Seq    Seq             // rounds folded so far
	Anchor gradients.Vec   // the outer parameters Θ
	Outer  []gradients.Vec // slots of the outer transform, each as long as Anchor

	// Private: this worker's own.
	Step     uint64          // inner steps behind it
	Residual gradients.Vec   // error feedback; nil without
	Encoder  []gradients.Vec // slots of the codec, each as long as Anchor
	Flights  []Flight        // departures that have not landed, oldest first
	Tally    Tally           // since the last departure
}

// Flight is a departure under way.
type Flight struct {
	Seq   Seq
	Sent  gradients.Vec // the pseudo-gradient with its share of the residual, before the codec; nil without feedback
	Base  Hash          // root of the state that it counts from
	Tally Tally         // the inner steps that it stands for
}

// Tally sums up the inner steps since a departure.
type Tally struct {
	Steps  uint64
	Tokens uint64
	Loss   float64 // sum over the steps, nats per token
}

// Mean is the mean loss; 0 without steps.
func (t Tally) Mean() float32 {
	if t.Steps == 0 {
		return 0
	}
	return float32(t.Loss / float64(t.Steps))
}

// NewState is the state before the first round: the given parameters and zeros.
func NewState(anchor gradients.Vec, outerSlots, encoderSlots int, feedback bool) *State {
	s := &State{Anchor: anchor}
	zeros := func() gradients.Vec { return make(gradients.Vec, len(anchor)) }
	for range outerSlots {
		s.Outer = append(s.Outer, zeros())
	}
	for range encoderSlots {
		s.Encoder = append(s.Encoder, zeros())
	}
	if feedback {
		s.Residual = zeros()
	}
	return s
}

// cut takes the fragment out of each vector.
func cut(vs []gradients.Vec, f gradients.Fragment) []gradients.Vec {
	out := make([]gradients.Vec, len(vs))
	for i, v := range vs {
		out[i] = f.Of(v)
	}
	return out
}

// Root is the Merkle root of the shared state over its fragments. A leaf is SHA-256(0 ‖ ID as uint32 ‖ anchor ‖ outer
// slots), little-endian float32; a node is SHA-256(1 ‖ left ‖ right); an odd node moves up as it is (docs/wire.md, "Roots").
func Root(fragments []gradients.Fragment, anchor gradients.Vec, outer []gradients.Vec) Hash {
	level := make([]Hash, len(fragments))
	for i, f := range fragments {
		level[i] = leaf(f, anchor, outer)
	}
	return merkle(level)
}

func leaf(f gradients.Fragment, anchor gradients.Vec, outer []gradients.Vec) Hash {
	h := sha256.New()
	h.Write([]byte{0, byte(f.ID), byte(f.ID >> 8), byte(f.ID >> 16), byte(f.ID >> 24)})
	gradients.HashInto(h, f.Of(anchor))
	for _, v := range outer {
		gradients.HashInto(h, f.Of(v))
	}
	return sum(h)
}

func merkle(level []Hash) Hash {
	for len(level) > 1 {
		var up []Hash
		for i := 0; i+1 < len(level); i += 2 {
			h := sha256.New()
			h.Write([]byte{1})
			h.Write(level[i][:])
			h.Write(level[i+1][:])
			up = append(up, sum(h))
		}
		if len(level)%2 == 1 {
			up = append(up, level[len(level)-1])
		}
		level = up
	}
	return level[0]
}

func sum(h hash.Hash) Hash { return Hash(h.Sum(nil)) }

// LayoutHash names a layout: names, shapes, offsets and fragments of the tensors.
func LayoutHash(l gradients.Layout) Hash {
	b, err := json.Marshal(l)
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	return sha256.Sum256(b)
}

// roots keeps the Merkle leaves, so that a landing costs the hash of its own fragment only. The hashing runs beside
// the inner steps, which do not touch the shared state.
type roots struct {
	fragments []gradients.Fragment
	leaves    []Hash
	ready     chan struct{} // closed once leaves are up to date
}

func newRoots(fragments []gradients.Fragment, s *State) *roots {
	r := &roots{fragments: fragments, leaves: make([]Hash, len(fragments)), ready: make(chan struct{})}
	for i, f := range fragments {
		r.leaves[i] = leaf(f, s.Anchor, s.Outer)
	}
	close(r.ready)
	return r
}

// changed starts hashing a fragment again. The caller calls get before it changes the shared state once more.
func (r *roots) changed(id int, s *State) {
	ready := make(chan struct{})
	r.ready = ready
	go func() {
		r.leaves[id] = leaf(r.fragments[id], s.Anchor, s.Outer)
		close(ready)
	}()
}

// get waits for the hashing to end and returns the root.
func (r *roots) get() Hash {
	<-r.ready
	return merkle(append([]Hash(nil), r.leaves...))
}

// Snapshot is a worker's whole state, shared and private, as one JSON header and vectors.
type Snapshot struct {
	Header  []byte
	Vectors []gradients.Vec
}

// Private is the replica's part of a snapshot, what its Save returned, and the last round folded in. The snapshot is one
// that this machine wrote.
func (p Snapshot) Private() (vecs []gradients.Vec, counters []uint64, n Seq, err error) {
	var h snapshotHeader
	if err := json.Unmarshal(p.Header, &h); err != nil {
		return nil, nil, 0, fmt.Errorf("%w: snapshot header: %v", ErrMalformed, err)
	}
	before := 1 + h.Outer + h.Encoder
	if h.Feedback {
		before += 1 + len(h.Flights)
	}
	if h.Outer < 0 || h.Encoder < 0 || before > len(p.Vectors) {
		return nil, nil, 0, fmt.Errorf("%w: snapshot of %d vectors, %d before the replica's", ErrMalformed, len(p.Vectors), before)
	}
	return p.Vectors[before:], h.Counters, h.Seq, nil
}

type snapshotHeader struct {
	Run      Hash
	Seq      Seq
	Step     uint64
	Tally    Tally
	Flights  []Flight // without Sent: that is a vector
	Outer    int
	Encoder  int
	Feedback bool
	Counters []uint64 // the replica's
}

func (s *State) snapshot(run Hash, replica Replica) Snapshot {
	vecs, counters := replica.Save()
	h := snapshotHeader{
		Run: run, Seq: s.Seq, Step: s.Step, Tally: s.Tally, Outer: len(s.Outer), Encoder: len(s.Encoder),
		Feedback: s.Residual != nil, Counters: counters,
	}
	out := []gradients.Vec{s.Anchor}
	out = append(out, s.Outer...)
	out = append(out, s.Encoder...)
	if h.Feedback {
		out = append(out, s.Residual)
	}
	for _, f := range s.Flights {
		h.Flights = append(h.Flights, Flight{Seq: f.Seq, Base: f.Base, Tally: f.Tally})
		if h.Feedback {
			out = append(out, f.Sent)
		}
	}
	header, err := json.Marshal(h)
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	return Snapshot{Header: header, Vectors: append(out, vecs...)}
}

// restore rebuilds the state, and the replica's, from a snapshot that is not trusted: it must be one of this run, made
// of the same parts, taken at a landing.
func (w *Worker) restore(p Snapshot) (*State, error) {
	var h snapshotHeader
	if err := json.Unmarshal(p.Header, &h); err != nil {
		return nil, fmt.Errorf("%w: snapshot header: %v", ErrMalformed, err)
	}
	if err := w.fits(&h); err != nil {
		return nil, fmt.Errorf("%w: snapshot: %w", ErrMalformed, err)
	}
	rest, size := p.Vectors, w.Layout.Len()
	var bad error
	next := func(n int) gradients.Vec {
		if len(rest) == 0 || len(rest[0]) != n {
			bad = fmt.Errorf("%w: snapshot: vector %d of %d is missing or is not %d long", ErrMalformed, len(p.Vectors)-len(rest), len(p.Vectors), n)
			return nil
		}
		v := rest[0]
		rest = rest[1:]
		return v
	}
	s := &State{Seq: h.Seq, Step: h.Step, Tally: h.Tally, Anchor: next(size)}
	for range h.Outer {
		s.Outer = append(s.Outer, next(size))
	}
	for range h.Encoder {
		s.Encoder = append(s.Encoder, next(size))
	}
	if h.Feedback {
		s.Residual = next(size)
	}
	for _, f := range h.Flights {
		f.Sent = nil
		if h.Feedback && len(rest) > 0 && len(rest[0]) == 0 { // nothing was offered
			rest = rest[1:]
		} else if h.Feedback {
			f.Sent = next(w.fragment[w.Manifest.Schedule.Key(f.Seq).Fragment].Len())
		}
		s.Flights = append(s.Flights, f)
	}
	if bad != nil {
		return nil, bad
	}
	if err := w.Replica.Load(rest, h.Counters); err != nil {
		return nil, fmt.Errorf("snapshot: replica: %w", err)
	}
	return s, nil
}

// fits reports why a snapshot's header is not of this run and this method.
func (w *Worker) fits(h *snapshotHeader) error {
	s := w.Manifest.Schedule
	switch {
	case h.Run != w.chain.run:
		return fmt.Errorf("it belongs to run %s, this is %s", h.Run.Short(), w.chain.run.Short())
	case h.Outer != w.outer[0].Slots() || h.Encoder != w.codecs[0].Slots() || h.Feedback != (w.Method.Feedback > 0):
		return errors.New("it was taken with another outer optimizer, codec or feedback")
	case h.Seq > s.Rounds() || h.Step != s.Landing(h.Seq):
		return fmt.Errorf("step %d is not where round %d lands", h.Step, h.Seq)
	}
	if m := w.Manifest; m.Async() {
		if len(h.Flights) > 1 || len(h.Flights) == 1 && (h.Flights[0].Seq == 0 || h.Flights[0].Seq > h.Seq+1 || h.Seq+1-h.Flights[0].Seq > m.MaxStaleness) {
			return fmt.Errorf("no such departures %v can be under way after round %d", h.Flights, h.Seq)
		}
		return nil
	}
	for i, f := range h.Flights {
		if f.Seq != h.Seq+1+Seq(i) || f.Seq > s.Rounds() || s.Key(f.Seq).Departure > h.Step {
			return fmt.Errorf("round %d cannot be under way after step %d", f.Seq, h.Step)
		}
	}
	return nil
}
