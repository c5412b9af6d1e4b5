// Package trainer turns a model, its data and an engine into a Replica: one worker's copy of the model that takes inner
// steps, gives and takes pieces of its parameters, evaluates and samples. Gorgonia is graph, autodiff and machine;
// memory, kernels and optimizer are ours (packages graph, ops, plan, engine, optim).
package trainer

import (
	"fmt"
	"time"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/graph"
	"github.com/skein-train/skein/trainer/optim"
)

// Replica is one worker's model in training. It is used by one goroutine at a time; several Replicas, each with an Engine
// of its own, by several. After New nothing is allocated but by the first call of Evaluate, of Generate and of Save.
type Replica struct {
	options  Options
	layout   gradients.Layout
	data     shards.Source
	engine   engine.Engine
	schedule optim.Schedule
	inner    *optim.Optimizer // nil without an inner optimizer

	params, grads engine.Buf // flat, in Layout order
	arena         *graph.Arena
	train         *graph.Program
	batch         batch
	outer         *outer // for Evaluate and Generate, made when first needed

	step   uint64      // global number of the coming inner step
	seat   shards.Seat // what is left of the reservation: Start and Count move
	tokens uint64      // trained so far
	rewarm ramp        // of the learning rate, after joining under way
	watch  func(Event) // nil: nobody does

	saved []gradients.Vec // host copies for Save where the engine's memory is no host memory
}

// New builds a replica with fresh parameters, the same on every worker of one seed. It validates everything before it
// allocates anything.
func New(o Options, data shards.Source) (*Replica, error) {
	if err := o.Validate(data); err != nil {
		return nil, fmt.Errorf("trainer: %w", err)
	}
	r, err := build(o, data)
	if err != nil {
		return nil, err
	}
	first := make(gradients.Vec, r.Len())
	graph.Init(first, r.layout, o.Seed)
	o.Engine.Upload(r.params, first)
	return r, nil
}

// build makes the graph and takes all the memory.
func build(o Options, data shards.Source) (*Replica, error) {
	layout, err := graph.LayoutOf(o.Model, o.Fragments)
	if err != nil {
		return nil, fmt.Errorf("trainer: %w", err)
	}
	schedule, err := o.Inner.Rate(o.Steps)
	if err != nil {
		return nil, fmt.Errorf("trainer: %w", err)
	}
	n := layout.Len()
	r := &Replica{
		options: o, layout: layout, data: data, engine: o.Engine, schedule: schedule,
		params: o.Engine.Alloc(n), grads: o.Engine.Alloc(n), arena: graph.NewArena(o.Engine),
		batch: newBatch(o.MicroBatchSize, data),
	}
	if r.train, err = graph.Train(o.Engine, r.shape(o.MicroBatchSize), r.params, r.grads, r.arena); err != nil {
		return nil, fmt.Errorf("trainer: %w", err)
	}
	if r.inner, err = o.Inner.build(o.Engine, layout); err != nil {
		return nil, fmt.Errorf("trainer: %w", err)
	}
	if e, ok := o.Engine.(engine.Reserver); ok {
		e.Reserve(r.training())
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("trainer: %w", err)
	}
	return r, nil
}

// training is what an engine is told of the replica's work.
func (r *Replica) training() engine.Training {
	s := r.shape(r.options.MicroBatchSize)
	t := engine.Training{Weights: r.train.Weights(), Uses: r.options.BatchSize / r.options.MicroBatchSize, Tokens: s.Batch * s.Time,
		Attention: s.Attention(), Parameters: r.Len()}
	if r.inner != nil {
		t.Products = r.inner.Products()
	}
	return t
}

// Err is what the engine's device has failed with, nil for as long as it works. Step, Evaluate and Generate return it; what
// Delta, Read and Save give after a failure is NaN.
func (r *Replica) Err() error { return engine.Err(r.engine) }

func (r *Replica) shape(batch int) graph.Shape {
	return graph.Shape{Model: r.options.Model, Layout: r.layout, Batch: batch, Time: r.data.SeqLen(),
		Recompute: r.options.Recompute == "block", ZLoss: r.options.Inner.ZLoss}
}

// Engine names the engine that was chosen, for people.
func (r *Replica) Engine() string { return r.engine.Name() }

// Replayed is how long the engine's device has worked on what it took down once and replays; the rest of a step is its launches, copies
// and waits. 0 on engines that take nothing down.
func (r *Replica) Replayed() time.Duration { return engine.Replayed(r.engine) }

// Class is the engine's numeric class.
func (r *Replica) Class() uint16 { return r.engine.Class() }

// Layout is the order of all vectors that go in and out.
func (r *Replica) Layout() gradients.Layout { return r.layout }

// Len is the number of parameters.
func (r *Replica) Len() int { return r.params.Len }

// Tokens is the number of tokens trained so far.
func (r *Replica) Tokens() uint64 { return r.tokens }

// Delta writes the pseudo-gradient of fragment f, anchor − params, to dst; dst and anchor are as long as f. Without an
// inner optimizer it is the mean gradient of the last Step, unclipped, and anchor is ignored.
func (r *Replica) Delta(dst, anchor gradients.Vec, f gradients.Fragment) {
	if r.inner == nil {
		r.engine.Download(dst, r.grads.Slice(f.Lo, f.Hi))
		return
	}
	from := r.params.Slice(f.Lo, f.Hi)
	params := r.engine.Host(from)
	if params == nil {
		r.engine.Download(dst, from)
		params = dst
	}
	for i, a := range anchor[:len(dst)] {
		dst[i] = a - params[i]
	}
}

// Read copies the parameters of fragment f to dst, as long as f.
func (r *Replica) Read(dst gradients.Vec, f gradients.Fragment) {
	r.engine.Download(dst, r.params.Slice(f.Lo, f.Hi))
}

// Write replaces the parameters of fragment f by src, as long as f. The optimizer's moments stay.
func (r *Replica) Write(src gradients.Vec, f gradients.Fragment) {
	r.engine.Upload(r.params.Slice(f.Lo, f.Hi), src)
}
