package trainer

import (
	"fmt"

	"github.com/skein-train/skein/gradients"
)

// ramp raises the learning rate linearly over some steps: to (s − from + 1)/steps of the schedule's at step s.
type ramp struct{ from, steps uint64 }

func (w ramp) factor(step uint64) float64 {
	if step >= w.from+w.steps || step < w.from {
		return 1
	}
	return float64(step-w.from+1) / float64(w.steps)
}

// Rewarm starts the inner optimizer afresh: moments and their count become zero, and the learning rate rises to the schedule's
// over the coming steps. It is for a worker whose parameters were replaced while the run was under way: Adam's first
// steps follow single gradients, whose noise the full rate would turn into large steps.
func (r *Replica) Rewarm(steps uint64) {
	if r.adamw == nil {
		return
	}
	r.engine.Zero(r.adamw.M)
	r.engine.Zero(r.adamw.V)
	r.adamw.Count, r.rewarm = 0, ramp{r.step, steps}
}

// Moments returns what Adopt takes of a private state that Save returned: AdamW's first and second moments, and the number of
// updates behind them. ok is false without an inner optimizer, or before the first update.
func Moments(vecs []gradients.Vec, counters []uint64) (first, second gradients.Vec, count uint64, ok bool) {
	if len(vecs) != 3 || len(counters) != numCounters || counters[0] == 0 {
		return nil, nil, 0, false
	}
	return vecs[1], vecs[2], counters[0], true
}

// Adopt takes over the moments of another worker's AdamW, which may be hostile: both are as long as the parameters and finite,
// the second ones not negative, or an error says so and nothing has changed.
func (r *Replica) Adopt(first, second gradients.Vec, count uint64) error {
	switch {
	case r.adamw == nil:
		return fmt.Errorf("trainer: this replica has no inner optimizer to take moments over")
	case len(first) != r.Len() || len(second) != r.Len() || count == 0 || count > 1<<40:
		return fmt.Errorf("trainer: moments of %d and %d values after %d updates, the model has %d parameters", len(first), len(second), count, r.Len())
	case !gradients.Finite(first) || !gradients.Finite(second):
		return fmt.Errorf("trainer: moments that are not finite")
	}
	for i, v := range second {
		if v < 0 {
			return fmt.Errorf("trainer: second moment %d is %g: they are means of squares", i, v)
		}
	}
	r.engine.Upload(r.adamw.M, first)
	r.engine.Upload(r.adamw.V, second)
	r.adamw.Count, r.rewarm = count, ramp{}
	return nil
}
