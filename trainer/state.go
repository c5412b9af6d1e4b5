package trainer

import (
	"fmt"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
)

const numCounters = 7 // of the private state

// Save returns the private state: parameters and the inner optimizer's moments in their order (see optim.Optimizer), then the
// counters {updates done, coming step, stream position, sequences left, tokens trained, first step and steps of the last
// rewarming}. The vectors may be the replica's own memory: they are valid until the next call that changes it, and not to be
// written.
func (r *Replica) Save() (vecs []gradients.Vec, counters []uint64) {
	bufs := r.state()
	if r.saved == nil {
		r.saved = make([]gradients.Vec, len(bufs))
	}
	for i, b := range bufs {
		if host := r.engine.Host(b); host != nil {
			r.saved[i] = host
			continue
		}
		if r.saved[i] == nil {
			r.saved[i] = make(gradients.Vec, b.Len)
		}
		r.engine.Download(r.saved[i], b)
	}
	counters = []uint64{0, r.step, r.seat.Start, r.seat.Count, r.tokens, r.rewarm.from, r.rewarm.steps}
	if r.inner != nil {
		counters[0] = r.inner.Count
	}
	return r.saved, counters
}

// Load restores what Save returned on a replica of the same options; the steps that follow give the same bits. On an error
// nothing has changed.
func (r *Replica) Load(vecs []gradients.Vec, counters []uint64) error {
	bufs := r.state()
	if len(vecs) != len(bufs) || len(counters) != numCounters {
		return fmt.Errorf("trainer: load: %d vectors and %d counters, this optimizer keeps %d and %d", len(vecs), len(counters), len(bufs), numCounters)
	}
	for i, v := range vecs {
		if len(v) != bufs[i].Len {
			return fmt.Errorf("trainer: load: vector %d has %d elements, the model %d", i, len(v), bufs[i].Len)
		}
	}
	seat := shards.Seat{First: counters[1], Start: counters[2], Count: counters[3]}
	if seat.Start+seat.Count < seat.Start {
		return fmt.Errorf("trainer: load: %d reserved sequences from %d on overflow", seat.Count, seat.Start)
	}
	for i, v := range vecs {
		r.engine.Upload(bufs[i], v)
	}
	if r.inner != nil {
		r.inner.Count = counters[0]
	}
	r.step, r.seat, r.tokens, r.rewarm = seat.First, seat, counters[4], ramp{counters[5], counters[6]}
	return nil
}

// state lists the vectors of the private state.
func (r *Replica) state() []engine.Buf {
	bufs := []engine.Buf{r.params}
	for _, m := range r.moments() {
		bufs = append(bufs, m.Buf)
	}
	return bufs
}
