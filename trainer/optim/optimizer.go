// Package optim holds the inner optimizers, which work on flat vectors in engine memory, and the learning rate's schedules.
package optim

import (
	"errors"
	"fmt"
	"math"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/engine"
)

// ErrNotFinite says that the gradient holds an infinity or is no number.
var ErrNotFinite = errors.New("the gradient is not finite")

// Config holds the settings of an optimizer.
type Config struct {
	Kind              string  // "adamw"; "muon": Muon on the hidden matrices, AdamW on all other tensors
	Beta1, Beta2, Eps float64 // of AdamW
	Momentum          float64 // of Muon
	WeightDecay       float64 // decoupled, on tensors with two or more dimensions
	GradClip          float64 // largest global norm of the gradient, 0: no clipping
}

// Validate names the setting that is out of range.
func (c Config) Validate() error {
	switch {
	case c.Kind != "adamw" && c.Kind != "muon":
		return fmt.Errorf("optimizer %q is none of adamw, muon", c.Kind)
	case !(c.Beta1 >= 0 && c.Beta1 < 1) || !(c.Beta2 >= 0 && c.Beta2 < 1):
		return fmt.Errorf("%s: betas [%g, %g] must lie in [0, 1)", c.Kind, c.Beta1, c.Beta2)
	case !(c.Eps > 0):
		return fmt.Errorf("%s: eps %g must be positive", c.Kind, c.Eps)
	case c.Kind == "muon" && !(c.Momentum >= 0 && c.Momentum < 1):
		return fmt.Errorf("%s: momentum %g must lie in [0, 1)", c.Kind, c.Momentum)
	case !(c.WeightDecay >= 0):
		return fmt.Errorf("%s: weight_decay %g must not be negative", c.Kind, c.WeightDecay)
	case !(c.GradClip >= 0):
		return fmt.Errorf("%s: grad_clip %g must not be negative", c.Kind, c.GradClip)
	}
	return nil
}

// Optimizer updates fp32 master parameters in place. It clips the gradient and counts the steps; the arithmetic is that of
// its rules, each of which has tensors of its own. Its whole state is Count and Moments. After New it takes no memory.
type Optimizer struct {
	Count uint64 // steps done

	config  Config
	engine  engine.Engine
	rules   []rule
	moments []Moment
	scalars scalars
	passes  engine.Passes[operands]
}

// operands are what the calls of a step depend on, but for numbers in engine memory.
type operands struct{ params, grads, guard engine.Buf }

// rule is how some of the tensors are updated.
type rule interface {
	moments() []Moment
	update(params, grads engine.Buf)
	products() []engine.Product // each size at least once
	flops() int64
}

// Moment is one vector of the state: running means of gradients or of their squares, of some tensors end to end.
type Moment struct {
	engine.Buf
	Squares bool // never negative
}

// New takes the memory of an optimizer for a model of that layout. hidden tells which of its tensors are hidden matrices,
// with two dimensions; AdamW does not ask.
func New(e engine.Engine, l gradients.Layout, hidden func(gradients.Tensor) bool, c Config) (*Optimizer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	o := &Optimizer{config: c, engine: e, scalars: newScalars(e), passes: engine.Passes[operands]{}}
	if c.Kind == "adamw" {
		o.rules = []rule{newAdamW(e, l, c, o.scalars)}
	} else {
		matrices, others := split(l, hidden)
		o.rules = []rule{newMuon(e, matrices, c, o.scalars), newAdamW(e, others, c, o.scalars)}
	}
	for _, r := range o.rules {
		o.moments = append(o.moments, r.moments()...)
	}
	return o, nil
}

// split deals the tensors out, in order.
func split(l gradients.Layout, first func(gradients.Tensor) bool) (yes, no []gradients.Tensor) {
	for _, t := range l {
		if first(t) {
			yes = append(yes, t)
		} else {
			no = append(no, t)
		}
	}
	return yes, no
}

// Step is Queue and Outcome.
func (o *Optimizer) Step(params, grads, guard engine.Buf, lr float64) error {
	if err := o.Queue(params, grads, guard, lr); err != nil {
		return err
	}
	return o.Outcome()
}

// Queue has the engine do one update of params by grads at learning rate lr. The gradient counts as if it had been clipped to the
// global norm first; grads stays as it is. It changes nothing when the gradient or guard, an F64, holds an infinity or is no number;
// guard may be empty. All calls on the engine are one pass (engine.Pass). Outcome comes before the next Queue.
func (o *Optimizer) Queue(params, grads, guard engine.Buf, lr float64) error {
	o.scalars.set(o.engine, o.config, lr, o.Count+1)
	err := o.passes.Of(operands{params, grads, guard}).Run(o.engine, func() error {
		o.engine.Clip(o.scalars.step, grads, guard, o.config.GradClip)
		for _, r := range o.rules {
			r.update(params, grads)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", o.config.Kind, err)
	}
	return nil
}

// Outcome waits for what Queue has queued and counts it, or says that it was refused, which wraps ErrNotFinite.
func (o *Optimizer) Outcome() error {
	if math.IsNaN(o.scalars.scale(o.engine)) {
		return fmt.Errorf("%s: %w; a lower inner lr or a longer warm-up may help", o.config.Kind, ErrNotFinite)
	}
	o.Count++
	return nil
}

// Moments lists the vectors of the state, always the same ones. For adamw: first and second moments, as long as the
// parameters. For muon: the momentum of the hidden matrices, then first and second moments of all other tensors.
func (o *Optimizer) Moments() []Moment { return o.moments }

// Products are the sizes of what Step asks the engine's MatMul for.
func (o *Optimizer) Products() (all []engine.Product) {
	for _, r := range o.rules {
		all = append(all, r.products()...)
	}
	return all
}

// FLOPs is the arithmetic of one Step: 14 operations for each of AdamW's parameters and Muon's products, clipping left out.
func (o *Optimizer) FLOPs() (sum int64) {
	for _, r := range o.rules {
		sum += r.flops()
	}
	return sum
}

// Reset brings back the state of a new optimizer.
func (o *Optimizer) Reset() {
	for _, m := range o.moments {
		o.engine.Zero(m.Buf)
	}
	o.Count = 0
}
