package aggregator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/skein-train/skein/gradients"
)

// ErrDiverged says that this worker's shared state is not the certified one. Its state must not be used any more:
// fetch a certified snapshot and replay the log from there.
var ErrDiverged = errors.New("this worker's state differs from the certified one")

// ErrUnstable says that training has run away: numbers are no longer finite.
var ErrUnstable = errors.New("training is unstable")

// Options are what a Worker is made of.
type Options struct {
	Manifest *Manifest
	Genesis  *Certificate // entry 0 of the log
	Signer   Signer
	Method   Method
	Layout   gradients.Layout
	Replica  Replica
	Exchange Exchange
	// Assign deals the sequences from cursor on to the roster, share each, and returns every slot's first one (shards.Assign).
	Assign func(beacon [32]byte, cursor uint64, roster []uint32, share uint64) []uint64
	// Landed, if set, is called after every landing, with the state at rest. An error ends the run.
	Landed func(context.Context, Landing) error
	// Paused, if set, is asked before every inner step. Once it says yes the worker offers what it has done so far, trains
	// nothing until the next landing, and goes on following the log.
	Paused func() bool
	// Pace, if set, says in an asynchronous run how many of the h steps between two departures this worker takes: a slow one fewer, so
	// that all departures stand for the same time (dynamic local updates, arXiv 2401.09135, section 5).
	Pace func(h uint64) uint64
	// Resume, if set, is where an earlier life of this worker left off.
	Resume *Snapshot
	// Start, if set and Resume is not, is a published state to start from instead of the first one. It is trusted no
	// further than the log goes: the first certificate that counts from it must have its root.
	Start *Shared
}

// Shared is the shared state after round Seq, as a checkpoint holds it. A worker that starts from it owns its vectors.
type Shared struct {
	Seq    Seq
	Anchor gradients.Vec
	Outer  []gradients.Vec // slots of the outer transform, each as long as Anchor
}

// Landing is what a worker tells after a round has landed.
type Landing struct {
	Worker      *Worker
	Certificate *Certificate
	Step        uint64
	Tally       Tally      // this worker's steps that led to the round's departure
	Norm        float64    // of the mean pseudo-gradient; 0 if nobody was counted
	Refused     int        // counted contributions whose payload nobody can decode, or nobody has any more
	Merged      []Included // what this worker read of the list and added up, in that order, the refused ones included
}

// Worker is the fold over the log: it reads certified rounds, offers contributions, and keeps a replica on the anchor.
type Worker struct {
	Options
	state    *State
	chain    *Chain // at State.Seq
	codecs   []gradients.Codec
	outer    []gradients.Transform
	roots    *roots
	past     map[Seq]Hash  // roots after the last landings, as far back as contributions may count from
	idle     bool          // there is nothing to train until the next landing
	data     uint64        // of an asynchronous run: where in the stream the log reserved sequences for this worker last
	scratch  gradients.Vec // as long as the longest fragment
	fragment []gradients.Fragment
}

// NewWorker checks the parts against the manifest and against each other. The replica must stand at the run's first
// parameters, or Resume must be set.
func NewWorker(o Options) (*Worker, error) {
	w := &Worker{Options: o, chain: NewChain(o.Manifest), fragment: o.Layout.Fragments(), past: map[Seq]Hash{}}
	if err := w.chain.Add(o.Genesis); err != nil {
		return nil, err
	}
	if n := o.Replica.Len(); n != o.Layout.Len() || LayoutHash(o.Layout) != o.Manifest.LayoutHash {
		return nil, fmt.Errorf("worker: the replica of %d parameters is not the manifest's model of %d", n, o.Manifest.Parameters)
	}
	if len(w.fragment) != int(o.Manifest.Schedule.Fragments) {
		return nil, fmt.Errorf("worker: %d fragments in the layout, %d on the schedule", len(w.fragment), o.Manifest.Schedule.Fragments)
	}
	longest := 0
	for _, f := range w.fragment {
		c, err := o.Method.Codec(o.Layout, f)
		if err != nil {
			return nil, fmt.Errorf("worker: codec: %w", err)
		}
		w.codecs = append(w.codecs, c)
		w.outer = append(w.outer, o.Method.Outer(o.Layout, f))
		longest = max(longest, f.Len())
	}
	w.scratch = make(gradients.Vec, 2*longest)
	if err := o.Method.validate(o.Manifest); err != nil {
		return nil, err
	}
	return w, w.open()
}

// open sets the state: of an earlier life, a published one, or the first one.
func (w *Worker) open() (err error) {
	switch {
	case w.Resume != nil:
		w.state, err = w.restore(*w.Resume)
	case w.Start != nil:
		w.state, err = w.begin(w.Start)
	default:
		anchor := make(gradients.Vec, w.Layout.Len())
		w.Replica.Read(anchor, gradients.Fragment{Hi: len(anchor)})
		w.state = NewState(anchor, w.outer[0].Slots(), w.codecs[0].Slots(), w.Method.Feedback > 0)
	}
	if err != nil {
		return err
	}
	w.Resume, w.Start = nil, nil
	w.roots = newRoots(w.fragment, w.state)
	if w.state.Seq == 0 && w.roots.get() != w.Manifest.FirstRoot {
		return fmt.Errorf("%w: it starts from %s, the run from %s", ErrDiverged, w.roots.get().Short(), w.Manifest.FirstRoot.Short())
	}
	return nil
}

// begin takes over a published state. The replica's parameters become its anchor.
func (w *Worker) begin(from *Shared) (*State, error) {
	n := w.Layout.Len()
	if from.Seq > w.Manifest.Schedule.Rounds() || len(from.Anchor) != n || len(from.Outer) != w.outer[0].Slots() {
		return nil, fmt.Errorf("%w: state of round %d: %d parameters and %d outer slots, expected %d and %d",
			ErrMalformed, from.Seq, len(from.Anchor), len(from.Outer), n, w.outer[0].Slots())
	}
	for i, v := range from.Outer {
		if len(v) != n {
			return nil, fmt.Errorf("%w: state of round %d: outer slot %d of %d values, expected %d", ErrMalformed, from.Seq, i, len(v), n)
		}
	}
	s := NewState(from.Anchor, 0, w.codecs[0].Slots(), w.Method.Feedback > 0)
	s.Outer, s.Seq, s.Step = from.Outer, from.Seq, w.Manifest.Schedule.Landing(from.Seq)
	w.Replica.Write(s.Anchor, gradients.Fragment{Hi: n})
	return s, nil
}

// State is the worker's state: to read, and only from Landed or when Run is not running.
func (w *Worker) State() *State { return w.state }

// Snapshot is everything that Resume needs. Its vectors are the live ones: valid inside Landed.
func (w *Worker) Snapshot() Snapshot { return w.state.snapshot(w.chain.run, w.Replica) }

// Root is the root of the shared state. That of a private method is the first one until its last round has landed.
func (w *Worker) Root() Hash {
	if w.Apart() {
		return w.Manifest.FirstRoot
	}
	return w.roots.get()
}

// Chain is the log as this worker has folded it.
func (w *Worker) Chain() *Chain { return w.chain }

// Run is every method: data moves one way, from parameters to pseudo-gradient to bytes to their mean to the outer step
// to the anchor to parameters. It returns when the run's steps are done and all its rounds have landed.
func (w *Worker) Run(ctx context.Context) error {
	if w.Manifest.Async() {
		return w.drift(ctx)
	}
	if err := w.catchUp(ctx); err != nil {
		return err
	}
	schedule := w.Manifest.Schedule
	for step := w.state.Step + 1; step <= schedule.Steps; step++ {
		if err := w.step(ctx, step); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
		if n, ok := schedule.Departs(step); ok {
			if err := w.prepare(ctx, n); err != nil {
				return fmt.Errorf("step %d: %w", step, err)
			}
			if err := w.depart(ctx, n); err != nil {
				return fmt.Errorf("step %d: round %d departs: %w", step, n, err)
			}
		}
		if n, ok := schedule.Lands(step); ok && n > w.state.Seq {
			if err := w.land(ctx, n); err != nil {
				return fmt.Errorf("step %d: round %d lands: %w", step, n, err)
			}
		}
	}
	for n := w.state.Seq + 1; n <= schedule.Rounds(); n++ { // what is still under way after the last step
		if err := w.land(ctx, n); err != nil {
			return fmt.Errorf("round %d lands: %w", n, err)
		}
	}
	return w.Exchange.Seal(ctx, w.state.Seq, w.Root())
}

// catchUp follows the log to where the state stands and takes the seat that it gives.
func (w *Worker) catchUp(ctx context.Context) error {
	w.reserved()
	for w.chain.tip.Seq < w.state.Seq {
		cert, err := w.Exchange.Next(ctx, w.chain.tip.Seq)
		if err != nil {
			return fmt.Errorf("replaying the log: %w", err)
		}
		if err := w.chain.Follow(cert); err != nil {
			return fmt.Errorf("replaying the log: %w", err)
		}
		w.reserved()
	}
	return w.sit(ctx)
}

// seat is this worker's slot in the roster after the last landing.
func (w *Worker) seat() (Slot, bool) { return w.chain.roster.Slot(w.Signer.ID) }

// sit tells the replica which data the log reserved for the steps until the next landing. There is nothing to train
// without a seat, without steps left, and for a round that was closed without this worker before it could begin.
func (w *Worker) sit(ctx context.Context) error {
	if w.Manifest.Async() {
		return w.wander()
	}
	slot, seated := w.seat()
	share := w.Manifest.Share(w.chain.tip.Seq)
	w.idle = !seated || share == 0 // a pause that goes on is noticed by the next step
	if w.idle {
		return nil
	}
	var err error
	if w.idle, err = w.missed(ctx, w.Manifest.Schedule.Next(w.state.Step)); w.idle || err != nil {
		return err
	}
	tip, slots := w.chain.tip, w.chain.roster.Slots()
	roster, at := make([]uint32, len(slots)), 0
	for i, s := range slots {
		if roster[i] = uint32(s); s == slot {
			at = i
		}
	}
	return w.Replica.Begin(w.state.Step+1, w.Assign(tip.Beacon, tip.Cursor, roster, share)[at], share)
}

// missed says whether round n is closed already and does not count this worker.
func (w *Worker) missed(ctx context.Context, n Seq) (bool, error) {
	if n > w.Exchange.Tip() {
		return false, nil
	}
	cert, err := w.Exchange.Next(ctx, n-1) // it is here
	if err != nil {
		return false, err
	}
	_, counted := cert.Counts(w.Signer.ID)
	return !counted, nil
}

// step takes one inner step, unless there is nothing to train: then it only listens.
func (w *Worker) step(ctx context.Context, step uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.state.Step = step
	w.idle = w.idle || w.Paused != nil && w.Paused()
	if w.idle {
		return nil
	}
	loss, err := w.Replica.Step(ctx)
	if err != nil {
		return err
	}
	if !(math.Abs(loss) <= math.MaxFloat32) { // NaN too: a header carries a finite float32
		return fmt.Errorf("%w: the training loss is %v: lower inner.lr, or raise inner.warmup_steps", ErrUnstable, loss)
	}
	w.state.Tally.Steps++
	w.state.Tally.Tokens += w.Manifest.BatchSize * w.Manifest.SeqLen
	w.state.Tally.Loss += loss
	return nil
}

// depart measures how far the replica has moved from the anchor and offers it to the swarm.
func (w *Worker) depart(ctx context.Context, n Seq) error {
	s := w.state
	root := w.Root()
	if err := w.Exchange.Seal(ctx, s.Seq, root); err != nil {
		return err
	}
	flight := Flight{Seq: n, Base: root, Tally: s.Tally}
	s.Tally = Tally{}
	if flight.Tally.Steps > 0 {
		c, sent, err := w.contribution(n, root, flight.Tally)
		if err != nil {
			return err
		}
		if err := w.Exchange.Offer(ctx, c); err != nil {
			return err
		}
		flight.Sent = sent
	}
	before := len(s.Flights) > 0 && s.Flights[len(s.Flights)-1].Tally.Steps > 0
	s.Flights = append(s.Flights, flight)
	if w.Method.Fresh && !before && flight.Tally.Steps > 0 && !w.gathers(n) {
		w.begun()
	}
	return nil
}

// contribution encodes and signs the pseudo-gradient of round n. With feedback it takes the residual along, which
// is away until the landing settles it, and returns what it gave the codec.
func (w *Worker) contribution(n Seq, root Hash, tally Tally) (Contribution, gradients.Vec, error) {
	s, key := w.state, w.Manifest.Schedule.Key(n)
	f := w.fragment[key.Fragment]
	delta := make(gradients.Vec, f.Len())
	if w.gathers(n) {
		w.position(delta)
	} else {
		w.Replica.Delta(delta, f.Of(s.Anchor), f)
	}
	if r, ok := w.Replica.(Fallible); ok && r.Err() != nil {
		return Contribution{}, nil, r.Err()
	}
	if s.Residual != nil {
		gradients.Compensate(delta, f.Of(s.Residual), w.Method.Feedback)
	}
	if !gradients.Finite(delta) {
		return Contribution{}, nil, fmt.Errorf("%w: the pseudo-gradient is not finite: lower inner.lr, or clip gradients with inner.grad_clip", ErrUnstable)
	}
	codec, carried := w.codecs[key.Fragment], delta
	if w.Method.Pull != 0 {
		carried = append(delta, s.Anchor...)
	}
	payload := codec.Append(nil, key, carried, cut(s.Encoder, f))
	header := w.Signer.SignHeader(Header{
		Run: w.chain.run, Key: key, Base: w.Manifest.Schedule.Base(n), BaseRoot: root, Tokens: tally.Tokens, Loss: tally.Mean(),
		Payload: sha256.Sum256(payload), Size: uint64(len(payload)), Class: w.Replica.Class(),
	})
	if s.Residual == nil {
		delta = nil
	}
	return Contribution{SignedHeader: header, Bytes: payload}, delta, nil
}
