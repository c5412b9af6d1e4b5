package trainer

import (
	"errors"
	"fmt"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/graph"
	"github.com/skein-train/skein/trainer/optim"
)

// Model is the specification of a Llama-family decoder.
type Model = graph.Model

// LayoutOf lists the model's parameters in the order of the flat vector, cut into that many fragments; see graph.LayoutOf.
func LayoutOf(m Model, fragments int) (gradients.Layout, error) { return graph.LayoutOf(m, fragments) }

// Hidden tells whether a tensor is a matrix inside a block; see graph.Hidden.
func Hidden(t gradients.Tensor) bool { return graph.Hidden(t) }

// Options is everything that a Replica is made from, apart from its data.
type Options struct {
	Model          Model
	Fragments      int           // that the outer loop exchanges one by one, 1: everything at once
	Inner          Inner         // inner optimizer
	BatchSize      int           // sequences in an inner step
	MicroBatchSize int           // sequences that go through the graph at once; divides BatchSize
	Steps          uint64        // inner steps of the whole run: the end of the learning rate's schedule
	Seed           uint64        // of the initial parameters
	Recompute      string        // "none" (or empty); "block": activations inside a block are computed again on the way back, not kept
	Engine         engine.Engine // belongs to this replica while it is in use; the caller closes it
}

// Inner holds the settings of the inner optimizer, named as in the run file's section "inner".
type Inner struct {
	Optimizer   string // "adamw", "muon"; "none": Step computes the gradient and leaves the parameters to the outer optimizer
	LR          float64
	Betas       [2]float64 // of AdamW, as is Eps
	Eps         float64
	Momentum    float64 // of Muon
	WeightDecay float64
	ZLoss       float64 // coefficient of the z-loss, which draws the log of the softmax's sum to zero; 0: none
	GradClip    float64 // largest global norm, 0: no clipping; without an inner optimizer gradients are never clipped
	Schedule    string  // constant, cosine, wsd
	WarmupSteps uint64
	DecaySteps  uint64  // of wsd, 0: a fifth of the run
	MinLRRatio  float64 // learning rate at the end, as a part of LR
}

// DefaultInner is AdamW as small Llama runs use it: peak 3e-3, betas .9 and .95, decay .1, clip 1, cosine to a tenth after
// 100 steps of warm-up.
func DefaultInner() Inner {
	return Inner{
		Optimizer: "adamw", LR: 3e-3, Betas: [2]float64{0.9, 0.95}, Eps: 1e-8, Momentum: 0.95, WeightDecay: 0.1, GradClip: 1,
		Schedule: "cosine", WarmupSteps: 100, MinLRRatio: 0.1,
	}
}

func (i Inner) config() optim.Config {
	return optim.Config{
		Kind: i.Optimizer, Beta1: i.Betas[0], Beta2: i.Betas[1], Eps: i.Eps, Momentum: i.Momentum,
		WeightDecay: i.WeightDecay, GradClip: i.GradClip,
	}
}

// build takes the optimizer's memory. Without an inner optimizer it is nil.
func (i Inner) build(e engine.Engine, l gradients.Layout) (*optim.Optimizer, error) {
	if i.Optimizer == "none" {
		return nil, nil
	}
	return optim.New(e, l, graph.Hidden, i.config())
}

// Rate is the learning rate's schedule over a run of that many inner steps.
func (i Inner) Rate(steps uint64) (optim.Schedule, error) {
	return optim.ScheduleConfig{
		Kind: i.Schedule, Peak: i.LR, MinRatio: i.MinLRRatio, Warmup: i.WarmupSteps, Decay: i.DecaySteps, Total: steps,
	}.Build()
}

// Validate reports everything that does not fit together, among the options and with the data.
func (o Options) Validate(data shards.Source) error {
	errs := []error{o.Model.Validate()}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Engine == nil {
		bad("no engine is given")
	}
	switch {
	case o.BatchSize < 1 || o.MicroBatchSize < 1:
		bad("batch_size %d and micro_batch_size %d must be at least 1", o.BatchSize, o.MicroBatchSize)
	case o.BatchSize%o.MicroBatchSize != 0:
		bad("batch_size %d is no multiple of micro_batch_size %d", o.BatchSize, o.MicroBatchSize)
	}
	if data.SeqLen() < 1 {
		bad("seq_len %d must be at least 1", data.SeqLen())
	}
	if o.Model.VocabSize < data.Vocab() {
		bad("vocab_size %d is smaller than the %d token ids of the data's tokenizer", o.Model.VocabSize, data.Vocab())
	}
	if o.Recompute != "" && o.Recompute != "none" && o.Recompute != "block" {
		bad("recompute %q is none of none, block", o.Recompute)
	}
	if !(o.Inner.ZLoss >= 0 && o.Inner.ZLoss <= 1) {
		bad("z_loss %g must lie between 0 and 1", o.Inner.ZLoss)
	}
	if o.Inner.Optimizer != "none" {
		errs = append(errs, o.Inner.config().Validate())
	}
	_, err := o.Inner.Rate(o.Steps)
	errs = append(errs, err)
	if o.Model.Validate() == nil {
		_, err := graph.LayoutOf(o.Model, o.Fragments)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
