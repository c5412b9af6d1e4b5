package trainer

import (
	"fmt"
	"slices"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/optim"
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
// over the coming steps. It is for a worker whose parameters were replaced while the run was under way: the first
// steps follow single gradients, whose noise the full rate would turn into large steps.
func (r *Replica) Rewarm(steps uint64) {
	if r.inner == nil {
		return
	}
	r.inner.Reset()
	r.rewarm = ramp{r.step, steps}
}

// MomentLens are the lengths of the vectors that Moments returns and Adopt takes, none without an inner optimizer.
func (r *Replica) MomentLens() []int {
	var lens []int
	for _, m := range r.moments() {
		lens = append(lens, m.Len)
	}
	return lens
}

// Moments returns what Adopt takes of a private state that Save returned: the inner optimizer's moments, and the number of
// updates behind them. ok is false without an inner optimizer, or before the first update.
func Moments(vecs []gradients.Vec, counters []uint64) (moments []gradients.Vec, count uint64, ok bool) {
	if len(vecs) < 2 || len(counters) != numCounters || counters[0] == 0 {
		return nil, 0, false
	}
	return vecs[1:], counters[0], true
}

// Adopt takes over the moments of another worker's inner optimizer, which may be hostile: they have the lengths MomentLens and
// are finite, means of squares are not negative, or an error says so and nothing has changed.
func (r *Replica) Adopt(moments []gradients.Vec, count uint64) error {
	own := r.moments()
	switch {
	case r.inner == nil:
		return fmt.Errorf("trainer: this replica has no inner optimizer to take moments over")
	case len(moments) != len(own):
		return fmt.Errorf("trainer: %d vectors of moments, this optimizer keeps %d", len(moments), len(own))
	case count == 0 || count > 1<<40:
		return fmt.Errorf("trainer: moments after %d updates", count)
	}
	for i, v := range moments {
		if err := fits(own[i], v); err != nil {
			return fmt.Errorf("trainer: moments %d: %w", i, err)
		}
	}
	for i, v := range moments {
		r.engine.Upload(own[i].Buf, v)
	}
	r.inner.Count, r.rewarm = count, ramp{}
	return nil
}

// fits says why v cannot be the moments m.
func fits(m optim.Moment, v gradients.Vec) error {
	switch {
	case len(v) != m.Len:
		return fmt.Errorf("%d values, this model has %d", len(v), m.Len)
	case !gradients.Finite(v):
		return fmt.Errorf("they are not finite")
	case m.Squares && slices.ContainsFunc(v, func(x float32) bool { return x < 0 }):
		return fmt.Errorf("means of squares are negative")
	}
	return nil
}

// moments are the vectors of the inner optimizer.
func (r *Replica) moments() []optim.Moment {
	if r.inner == nil {
		return nil
	}
	return r.inner.Moments()
}
