// Package optim holds the inner optimizer, which works on flat vectors in engine memory, and the learning rate's schedules.
package optim

import (
	"fmt"
	"math"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/engine"
)

// AdamWConfig holds the settings of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), torch.optim.AdamW's formula.
type AdamWConfig struct {
	Beta1, Beta2, Eps float64
	WeightDecay       float64 // decoupled, on tensors with two or more dimensions
	GradClip          float64 // largest global norm of the gradient, 0: no clipping
}

// Validate names the setting that is out of range.
func (c AdamWConfig) Validate() error {
	switch {
	case !(c.Beta1 >= 0 && c.Beta1 < 1) || !(c.Beta2 >= 0 && c.Beta2 < 1):
		return fmt.Errorf("adamw: betas [%g, %g] must lie in [0, 1)", c.Beta1, c.Beta2)
	case !(c.Eps > 0):
		return fmt.Errorf("adamw: eps %g must be positive", c.Eps)
	case !(c.WeightDecay >= 0):
		return fmt.Errorf("adamw: weight_decay %g must not be negative", c.WeightDecay)
	case !(c.GradClip >= 0):
		return fmt.Errorf("adamw: grad_clip %g must not be negative", c.GradClip)
	}
	return nil
}

// AdamW updates fp32 master parameters in place.
type AdamW struct {
	M, V  engine.Buf // first and second moments, as long as the parameters
	Count uint64     // steps done

	config AdamWConfig
	engine engine.Engine
	decay  [][2]int
}

// NewAdamW allocates the moments for a model of that layout.
func NewAdamW(e engine.Engine, l gradients.Layout, c AdamWConfig) *AdamW {
	n := l.Len()
	return &AdamW{M: e.Alloc(n), V: e.Alloc(n), config: c, engine: e, decay: matrices(l)}
}

// Step does one update of params by grads at learning rate lr. The gradient is clipped to the global norm first.
// It refuses, changing nothing, when the gradient holds an infinity or is no number.
func (a *AdamW) Step(params, grads engine.Buf, lr float64) error {
	norm := math.Sqrt(a.engine.SumSquares(grads))
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return fmt.Errorf("adamw: the gradient's norm is %g; a lower inner lr or a longer warm-up may help", norm)
	}
	a.Count++
	a.engine.AdamW(params, grads, a.M, a.V, a.decay, engine.AdamW{
		LR: float32(lr), Beta1: float32(a.config.Beta1), Beta2: float32(a.config.Beta2), Eps: float32(a.config.Eps),
		WeightDecay: float32(a.config.WeightDecay), Scale: float32(ClipScale(norm, a.config.GradClip)), Count: int(a.Count),
	})
	return nil
}

// ClipScale is the factor that brings a gradient of that norm down to limit: limit / (norm + 1e-6), as
// torch.nn.utils.clip_grad_norm_ has it, 1 if the norm is within the limit or limit is 0.
func ClipScale(norm, limit float64) float64 {
	if limit == 0 || norm <= limit {
		return 1
	}
	return limit / (norm + 1e-6)
}

// matrices are the ranges [lo, hi) of the flat vector that weight decay applies to, neighbours merged.
func matrices(l gradients.Layout) [][2]int {
	var out [][2]int
	for _, t := range l {
		if len(t.Shape) < 2 {
			continue
		}
		if n := len(out); n > 0 && out[n-1][1] == t.Off {
			out[n-1][1] += t.Len()
			continue
		}
		out = append(out, [2]int{t.Off, t.Off + t.Len()})
	}
	return out
}
