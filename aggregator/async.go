package aggregator

import (
	"context"
	"fmt"

	"github.com/skein-train/skein/gradients"
)

// AsyncDiLoCo counts every contribution as it comes, whatever state it counts from, and takes an outer step for each (Liu et al. 2024, arXiv
// 2401.09135). With delayed > 0, the number of workers, momentum follows once for so many contributions (Delayed Nesterov,
// algorithm 3 there, c = 0); with 0 every contribution moves it, which is the naive way that the paper warns of.
func AsyncDiLoCo(codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error), lr, momentum float32, delayed int) Method {
	m := DiLoCo(codec, lr, momentum, 0, 0)
	m.Name = "async"
	if delayed > 0 {
		m.Outer = func(gradients.Layout, gradients.Fragment) gradients.Transform {
			return gradients.Chain(gradients.DelayedNesterov(momentum, delayed), gradients.Scale(lr))
		}
	}
	return m
}

// drift is Run where nobody waits: train from the newest state, offer, follow the log until it counts, start over.
func (w *Worker) drift(ctx context.Context) error {
	if err := w.catchUp(ctx); err != nil {
		return err
	}
	for last := w.Manifest.Schedule.Rounds(); w.state.Seq < last; {
		if len(w.state.Flights) == 0 && !w.idle {
			if err := w.leg(ctx); err != nil {
				return fmt.Errorf("from round %d: %w", w.state.Seq, err)
			}
		}
		n := w.state.Seq + 1
		if err := w.land(ctx, n); err != nil {
			return fmt.Errorf("round %d lands: %w", n, err)
		}
	}
	return w.Exchange.Seal(ctx, w.state.Seq, w.Root())
}

// leg trains from the state that the worker stands at and offers what came of it.
func (w *Worker) leg(ctx context.Context) error {
	steps := w.Manifest.Schedule.Stride()
	if w.Pace != nil {
		steps = max(1, min(steps, w.Pace(steps)))
	}
	base := w.state.Step
	for i := range steps {
		if err := w.step(ctx, base+i+1); err != nil {
			return err
		}
	}
	w.state.Step = base
	return w.depart(ctx, w.state.Seq+1)
}

// reserved notes the data that the tip reserves for this worker in an asynchronous run, if it does.
func (w *Worker) reserved() {
	if !w.Manifest.Async() {
		return
	}
	slot, seated := w.seat()
	for i, s := range w.chain.seats() {
		if seated && s == slot {
			w.data = w.chain.tip.Cursor + uint64(i)*w.Manifest.Share(w.chain.tip.Seq)
		}
	}
}

// wander is sit where nobody waits: a worker with nothing under way trains on what was reserved for it last. That is data once more
// if its departure became too old to be counted.
func (w *Worker) wander() error {
	_, seated := w.seat()
	if w.idle = !seated; w.idle || len(w.state.Flights) > 0 || w.state.Seq == w.Manifest.Schedule.Rounds() {
		return nil
	}
	return w.Replica.Begin(w.state.Step+1, w.data, w.Manifest.Schedule.Stride()*w.Manifest.BatchSize)
}
