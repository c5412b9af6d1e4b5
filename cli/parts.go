package cli

import (
	"cmp"
	"context"
	"runtime"
	"sync/atomic"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
)

// From the run file to parts: each function here turns one section into what a package wants.

func modelOf(c configs.Config, vocab int) trainer.Model {
	m := c.Model
	return trainer.Model{
		VocabSize:         cmp.Or(m.VocabSize, vocab),
		HiddenSize:        m.HiddenSize,
		IntermediateSize:  m.IntermediateSize,
		NumHiddenLayers:   m.NumHiddenLayers,
		NumAttentionHeads: m.NumAttentionHeads,
		NumKeyValueHeads:  m.NumKeyValueHeads,
		TieWordEmbeddings: m.TieWordEmbeddings,
		QKNorm:            m.QKNorm,
		RMSNormEps:        m.RMSNormEps,
		RopeTheta:         m.RopeTheta,
	}
}

func innerOf(c configs.Config) trainer.Inner {
	i := c.Inner
	inner := trainer.Inner{
		Optimizer: i.Optimizer, LR: i.LR, Betas: i.Betas, Eps: i.Eps, Momentum: i.Momentum,
		WeightDecay: i.WeightDecay, GradClip: i.GradClip, ZLoss: i.ZLoss,
		Schedule: i.Schedule, WarmupSteps: uint64(i.WarmupSteps), DecaySteps: uint64(i.DecaySteps), MinLRRatio: i.MinLRRatio,
	}
	if c.Outer.Method == "ddp" || c.Outer.Method == "demo" {
		inner.Optimizer = "none"
	}
	return inner
}

func scheduleOf(c configs.Config) aggregator.Schedule {
	return aggregator.Schedule{
		Every: uint64(c.Sync.Every), Fragments: uint64(c.Sync.Fragments), Delay: uint64(c.Sync.Delay), Steps: uint64(c.Train.Steps),
	}
}

func codecOf(c configs.Config) func(gradients.Layout, gradients.Fragment) (gradients.Codec, error) {
	return func(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
		codec, err := gradients.New(c.Sync.Codec, l, f)
		if err == nil && c.Outer.Average == "senders" {
			codec = gradients.BySender(codec)
		}
		return codec, err
	}
}

// methodOf turns the names of a method into its parts. Blend and error feedback go around any of them that takes them.
func methodOf(c configs.Config) (aggregator.Method, error) {
	rate, err := rateOf(c)
	if err != nil {
		return aggregator.Method{}, err
	}
	m := bareMethod(c, rate)
	m.Blend, m.Feedback = float32(c.Sync.Blend), float32(c.Sync.ErrorFeedback)
	return m, nil
}

func bareMethod(c configs.Config, rate func(step uint64) float32) aggregator.Method {
	codec, o := codecOf(c), c.Outer
	lr, momentum, feedback := float32(o.LR), float32(o.Momentum), float32(c.Sync.ErrorFeedback)
	if o.Optimizer == "sgd" {
		momentum = 0
	}
	switch o.Method {
	case "ddp":
		i := innerOf(c)
		adam := gradients.AdamWOptions{Beta1: i.Betas[0], Beta2: i.Betas[1], Eps: i.Eps, WeightDecay: i.WeightDecay}
		return aggregator.DDP(codec, adam, float32(i.GradClip), matrices, rate)
	case "demo":
		return aggregator.DeMo(codec, feedback, float32(c.Inner.WeightDecay), matrices, rate)
	case "fedavg":
		return aggregator.FedAvg(codec)
	case "sparseloco":
		return aggregator.SparseLoCo(codec, lr, feedback)
	case "elastic":
		return aggregator.Elastic(codec, lr, momentum, feedback, trainer.Hidden)
	case "eager":
		return aggregator.Eager(codec, lr, momentum)
	case "noloco":
		return aggregator.NoLoCo(doubled(codec), momentum, lr, lr)
	case "async":
		return aggregator.AsyncDiLoCo(codec, lr, momentum, o.Delayed)
	}
	m := aggregator.DiLoCo(codec, lr, momentum, 0, feedback)
	m.Name = o.Method
	return m
}

// doubled is a codec for two vectors a fragment.
func doubled(codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error)) func(gradients.Layout, gradients.Fragment) (gradients.Codec, error) {
	return func(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
		c, err := codec(l, f)
		if err != nil {
			return nil, err
		}
		return gradients.Both(c, f.Len())
	}
}

// rateOf is the learning rate of inner step 1, 2, ….
func rateOf(c configs.Config) (func(step uint64) float32, error) {
	rate, err := innerOf(c).Rate(uint64(c.Train.Steps))
	return func(step uint64) float32 { return float32(rate(step - 1)) }, err
}

// matrices are the ranges of a fragment that have weight decay: tensors of two dimensions or more.
func matrices(l gradients.Layout, f gradients.Fragment) (ranges [][2]int) {
	for _, t := range l.In(f) {
		if len(t.Shape) > 1 {
			ranges = append(ranges, [2]int{t.Off, t.Off + t.Len()})
		}
	}
	return ranges
}

// threadsOf shares the cores among the local workers.
func threadsOf(c configs.Config) int {
	return cmp.Or(c.Train.Threads, max(1, runtime.NumCPU()/c.Swarm.LocalWorkers))
}

// engineOf opens the engine for a local worker, counted from 0.
func engineOf(c configs.Config, worker int) (engine.Engine, error) {
	return auto.Open(engineOptions(c, worker))
}

func engineOptions(c configs.Config, worker int) engine.Options {
	return engine.Options{Kind: c.Train.Engine, Precision: c.Train.Precision, Threads: threadsOf(c), Worker: worker}
}

// replicaOptions lacks the engine.
func replicaOptions(c configs.Config, vocab int) trainer.Options {
	return trainer.Options{
		Model: modelOf(c, vocab), Fragments: c.Sync.Fragments, Inner: innerOf(c),
		BatchSize: c.Train.BatchSize, MicroBatchSize: c.Train.MicroBatchSize, Steps: uint64(c.Train.Steps), Seed: c.Seed,
		Recompute: c.Train.Recompute,
	}
}

// replica is a trainer's Replica behind the aggregator's port.
type replica struct {
	*trainer.Replica
	engine engine.Engine
}

// newReplica makes the model of a local worker, counted from 0.
func newReplica(c configs.Config, worker int, data shards.Source) (*replica, error) {
	e, err := engineOf(c, worker)
	if err != nil {
		return nil, err
	}
	o := replicaOptions(c, data.Vocab())
	o.Engine = e
	r, err := trainer.New(o, data)
	if err != nil {
		e.Close()
		return nil, err
	}
	return &replica{r, e}, nil
}

// Begin implements aggregator.Replica.
func (r *replica) Begin(first, start, count uint64) error {
	return r.Replica.Begin(shards.Seat{First: first - 1, Start: start, Count: count})
}

func (r *replica) close() { r.engine.Close() }

// cores lets as many replicas compute at once as the machine has cores for; without it the local workers would push
// each other out of the caches.
type cores chan struct{}

func newCores(c configs.Config) cores { return make(cores, max(1, runtime.NumCPU()/threadsOf(c))) }

// paced is a replica that takes its inner steps in turn with the others of this machine, and counts them.
type paced struct {
	*replica
	cores cores
	step  *atomic.Uint64 // the last one taken

	expect func(first, start, count uint64) // nil, or told which step and which sequences come next
}

// Begin implements aggregator.Replica.
func (p paced) Begin(first, start, count uint64) error {
	p.step.Store(first - 1)
	if err := p.replica.Begin(first, start, count); err != nil {
		return err
	}
	if p.expect != nil {
		p.expect(first, start, count)
	}
	return nil
}

// Step implements aggregator.Replica.
func (p paced) Step(ctx context.Context) (float64, error) {
	select {
	case p.cores <- struct{}{}:
		defer func() { p.step.Add(1); <-p.cores }()
		return p.replica.Step(ctx)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
