package graph

import (
	"fmt"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/ops"
	"github.com/skein-train/skein/trainer/plan"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Shape is what a program is built for.
type Shape struct {
	Model     Model
	Layout    gradients.Layout
	Batch     int     // sequences
	Time      int     // tokens in a sequence
	Recompute bool    // keep only what flows into each block, and compute the rest anew on the way back
	ZLoss     float64 // coefficient of the z-loss in the gradients, see engine.Loss
}

func (s Shape) tokens() int { return s.Batch * s.Time }

// Program is a graph that was compiled and given its memory. Programs over one Arena take turns: each run overwrites what
// the others left, except for their inputs and results. A Program is used by one goroutine at a time.
type Program struct {
	Pass   ops.Pass
	tokens engine.Buf // int32 [Batch·Time], inputs
	target engine.Buf // int32 [Batch·Time], of Train and Loss
	loss   engine.Buf // one F64, of Train and Loss
	logits engine.Buf // [V], of Sample

	engine    engine.Engine
	vm        gorgonia.VM
	runs      engine.Passes[variant]
	refreshes engine.Passes[int] // by uses
	weights   []*engine.Weight
	memory    int // words of arena in use
	results   int // words of all results of ops, if none shared memory
}

// Train builds the program that computes loss and gradients of a micro-batch. params and grads are flat, in Layout order.
func Train(e engine.Engine, s Shape, params, grads engine.Buf, a *Arena) (*Program, error) {
	return build(e, a, func(b *ops.Builder, p *Program) error {
		w := newWeights(b, s, params, grads)
		p.tokens, p.target, p.loss = e.Alloc(s.tokens()), e.Alloc(s.tokens()), engine.Scalars(e, 1)
		loss := lossOf(b, s, w, p)
		return b.Gradients(loss, w.all)
	})
}

// Loss builds the program that computes the loss of a micro-batch.
func Loss(e engine.Engine, s Shape, params engine.Buf, a *Arena) (*Program, error) {
	return build(e, a, func(b *ops.Builder, p *Program) error {
		p.tokens, p.target, p.loss = e.Alloc(s.tokens()), e.Alloc(s.tokens()), engine.Scalars(e, 1)
		lossOf(b, s, newWeights(b, s, params, engine.Buf{}), p)
		return nil
	})
}

// Sample builds the program that computes the logits behind one token, Pass.Row, of a single sequence.
func Sample(e engine.Engine, s Shape, params engine.Buf, a *Arena) (*Program, error) {
	if s.Batch != 1 {
		return nil, fmt.Errorf("graph: a sampling program is for one sequence, not %d", s.Batch)
	}
	return build(e, a, func(b *ops.Builder, p *Program) error {
		w := newWeights(b, s, params, engine.Buf{})
		p.tokens, p.logits = e.Alloc(s.tokens()), e.Alloc(s.Model.VocabSize)
		ids := b.Input("tokens", tensor.Int32, p.tokens, s.tokens())
		b.Output(b.ToStream(b.LastRow(hidden(b, s, w, ids)), w.head), p.logits)
		return nil
	})
}

// Feed copies a micro-batch of token ids and, for programs with a loss, their targets to the engine. The ids must be below
// the vocabulary's size: kernels do not check.
func (p *Program) Feed(tokens, targets []int32) {
	p.engine.UploadInt32(p.tokens, tokens)
	if p.target.Len > 0 {
		p.engine.UploadInt32(p.target, targets)
	}
}

// Weights are the parameters that products read, in the order of the way forward: the head's is the last.
func (p *Program) Weights() []*engine.Weight { return p.weights }

// Refresh readies the parameters for uses runs. It has to follow every change of them.
func (p *Program) Refresh(uses int) error {
	return p.pass(p.refreshes.Of(uses), func() error {
		for _, w := range p.weights {
			p.engine.Refresh(w, uses)
		}
		return nil
	})
}

// variant is what the calls of a run depend on.
type variant struct {
	accumulate bool
	scale      float32
}

// Run executes the program: its calls are a pass (engine.Pass), unless somebody watches.
func (p *Program) Run() error {
	if p.Pass.Watch != nil || p.logits.Len > 0 { // a sample's calls depend on its row
		return p.pass(new(engine.Pass), p.run)
	}
	return p.pass(p.runs.Of(variant{p.Pass.Accumulate, p.Pass.Scale}), p.run)
}

func (p *Program) pass(pass *engine.Pass, run func() error) error {
	if err := pass.Run(p.engine, run); err != nil {
		return fmt.Errorf("graph: %w", err)
	}
	return nil
}

// run makes the calls, one by one.
func (p *Program) run() error {
	p.Pass.Start()
	err := p.vm.RunAll()
	p.vm.Reset()
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// Loss is the mean of the last run in nats a token, and of those before it whose sum it was added to (Pass.Accumulate). It waits
// for the run's end.
func (p *Program) Loss() float64 {
	var l [1]float64
	p.engine.Get(l[:], p.loss)
	return l[0]
}

// LossAt is where the engine keeps Loss, one F64.
func (p *Program) LossAt() engine.Buf { return p.loss }

// Logits copies the last run's logits to dst [V].
func (p *Program) Logits(dst []float32) { p.engine.Download(dst, p.logits) }

// Memory is the arena memory in use, in bytes: activations and their gradients. Results is what they would take if none shared
// memory with another.
func (p *Program) Memory() (bytes int)  { return 4 * p.memory }
func (p *Program) Results() (bytes int) { return 4 * p.results }

// salts is how often a graph is built anew when two of its nodes share a 32-bit hash. 4,000 nodes collide once in 500 graphs.
const salts = 8

func build(e engine.Engine, a *Arena, compose func(*ops.Builder, *Program) error) (*Program, error) {
	var err error
	for salt := range salts {
		p := &Program{engine: e, runs: engine.Passes[variant]{}, refreshes: engine.Passes[int]{}}
		b := ops.NewBuilder(e, &p.Pass, salt)
		if err := compose(b, p); err != nil {
			return nil, fmt.Errorf("graph: %w", err)
		}
		if err = b.Check(); err != nil {
			continue
		}
		turns, err := b.Order()
		if err != nil {
			return nil, fmt.Errorf("graph: %w", err)
		}
		p.memory, p.results, p.weights = place(turns, a), results(turns), b.Weights()
		p.vm = gorgonia.NewTapeMachine(b.Graph())
		return p, nil
	}
	return nil, fmt.Errorf("graph: %w", err)
}

// results is the sum of the words of all values.
func results(turns []ops.Turn) (words int) {
	seen := map[*ops.Value]bool{}
	for _, t := range turns {
		for _, v := range append([]*ops.Value{t.Out}, t.Side...) {
			if !seen[v] && !v.Fixed() {
				words += v.Words()
			}
			seen[v] = true
		}
	}
	return words
}

// place gives every value of the program its memory from the arena and returns the words used.
func place(turns []ops.Turn, a *Arena) int {
	bufs, owner := lives(turns)
	off, total := plan.Place(bufs, align)
	mem := a.take(total)
	for v, i := range owner {
		v.Place(mem, off[i])
	}
	return total
}

// align is in words: 64 bytes, as Engine.Alloc aligns.
const align = 16

// lives finds the turns in which each value must keep its contents. A value that takes over another's memory shares its
// buffer; owner maps values to buffers.
func lives(turns []ops.Turn) (bufs []plan.Buffer, owner map[*ops.Value]int) {
	last := map[*ops.Value]int{}
	for i, t := range turns {
		for _, v := range t.Reads {
			last[v] = i
		}
	}
	owner = map[*ops.Value]int{}
	define := func(v *ops.Value, i int) {
		if _, known := owner[v]; known || v.Fixed() {
			return
		}
		owner[v] = len(bufs)
		bufs = append(bufs, plan.Buffer{Len: v.Words(), First: i, Last: max(i, last[v])})
	}
	for i, t := range turns {
		if o := t.Over; o != nil && !o.Fixed() && !t.Out.Fixed() && last[o] == i && o.Words() == t.Out.Words() {
			owner[t.Out] = owner[o]
			bufs[owner[o]].Last = max(i, last[t.Out])
		}
		define(t.Out, i)
		for _, v := range t.Side {
			define(v, i)
		}
	}
	return bufs, owner
}
