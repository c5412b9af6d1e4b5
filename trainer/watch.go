package trainer

import (
	"time"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/ops"
)

// Event is one part of a step that is done: an op of the graph, or one of what lies around it, "data", "refresh" (weights brought into the
// form that products read) and "optimizer", which is clipping and update together.
type Event = ops.Event

// Watch has f told of every part of the coming steps, in their order, from the goroutine of Step; nil ends it. It costs two readings of the
// clock for each.
func (r *Replica) Watch(f func(Event)) { r.watch, r.train.Pass.Watch = f, f }

// part runs f as a part of a step.
func (r *Replica) part(e Event, f func() error) error {
	if r.watch == nil {
		return f()
	}
	start := time.Now()
	err := f()
	engine.Wait(r.engine)
	e.Took = time.Since(start)
	r.watch(e)
	return err
}

// update queues one optimizer step with the gradients at hand. It reads the gradients twice, for their norm and for itself, and parameters
// and moments are read and written.
func (r *Replica) update() error {
	e := Event{Op: "optimizer", FLOPs: r.inner.FLOPs()}
	for _, b := range r.state() {
		e.Bytes += 8 * int64(b.Len)
	}
	e.Bytes += 8 * int64(r.grads.Len)
	return r.part(e, func() error {
		return r.inner.Queue(r.params, r.grads, r.train.LossAt(), r.schedule(r.step)*r.rewarm.factor(r.step))
	})
}
