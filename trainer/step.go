package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
)

// ErrSeatSpent is wrapped by Step when the reservation holds fewer sequences than a batch: Begin comes first.
var ErrSeatSpent = errors.New("the reserved sequences are used up")

// Begin sets what the coming steps train on: the sequences that the log reserved, and the global number of the first step,
// which the learning rate follows. What was left of an earlier reservation is dropped.
func (r *Replica) Begin(seat shards.Seat) error {
	if seat.Count < uint64(r.options.BatchSize) {
		return fmt.Errorf("trainer: %d reserved sequences are less than batch_size %d", seat.Count, r.options.BatchSize)
	}
	if seat.Start+seat.Count < seat.Start {
		return fmt.Errorf("trainer: %d reserved sequences from %d on overflow", seat.Count, seat.Start)
	}
	r.seat, r.step = seat, seat.First
	return nil
}

// Step takes one inner step over batch_size sequences: gradients of all micro-batches, clipping, one update. loss is the mean
// over the batch in nats a token, before the update. On an error, and when ctx ends, parameters, optimizer and position in
// the data are as before, unless the error is Err: then there is no replica any more. An engine that queues its work is waited for
// once, at the end: the next micro-batch is read while the last one is computed.
func (r *Replica) Step(ctx context.Context) (loss float64, err error) {
	if r.seat.Count < uint64(r.options.BatchSize) {
		return 0, fmt.Errorf("trainer: step %d: %w", r.step, ErrSeatSpent)
	}
	loss, err = r.learn(ctx)
	if failed := r.Err(); failed != nil {
		err = failed // the rest follows from it
	}
	if err != nil {
		return 0, fmt.Errorf("trainer: step %d: %w", r.step, err)
	}
	r.step++
	r.seat.Start += uint64(r.options.BatchSize)
	r.seat.Count -= uint64(r.options.BatchSize)
	r.tokens += uint64(r.options.BatchSize * r.data.SeqLen())
	return loss, nil
}

// learn leaves the batch's mean gradient in r.grads, takes the update and returns the mean loss. The update refuses what is not
// finite by itself, loss or gradient; an infinite loss says more than the gradient that comes of it.
func (r *Replica) learn(ctx context.Context) (loss float64, err error) {
	micros := r.options.BatchSize / r.options.MicroBatchSize
	if err := r.backward(ctx, micros); err != nil {
		return 0, err
	}
	if r.inner == nil {
		r.readAhead()
	} else if err = r.update(); err == nil {
		r.readAhead() // behind everything that is queued: data may take its time
		err = r.inner.Outcome()
	}
	loss = r.train.Loss() / float64(micros)
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("the loss is %g; a lower inner lr or a longer warm-up may help", loss)
	}
	return loss, err
}

// backward queues all micro-batches: their mean gradient goes to r.grads.
func (r *Replica) backward(ctx context.Context, micros int) error {
	r.train.Pass.Scale = 1 / float32(micros)
	if err := r.part(Event{Op: "refresh"}, func() error { return r.train.Refresh(micros) }); err != nil {
		return err
	}
	for i := range micros {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.part(Event{Op: "data"}, func() error { return r.load(r.seat.Start + uint64(i*r.options.MicroBatchSize)) }); err != nil {
			return err
		}
		r.train.Pass.Accumulate = i > 0
		if err := r.train.Run(); err != nil {
			return err
		}
	}
	return nil
}

// load feeds one micro-batch from stream position start on.
func (r *Replica) load(start uint64) error {
	if err := r.read(start); err != nil {
		return err
	}
	r.train.Feed(r.batch.tokens, r.batch.targets)
	return nil
}

// readAhead reads the next step's first micro-batch while a device is at work on this one. An error is left to that step.
func (r *Replica) readAhead() {
	size := uint64(r.options.BatchSize)
	if _, queues := r.engine.(engine.Waiter); queues && r.watch == nil && r.seat.Count >= 2*size {
		_ = r.read(r.seat.Start + size)
	}
}

// read fills the batch from stream position start on, unless that is what it holds.
func (r *Replica) read(start uint64) error {
	want := held{start, true}
	if r.batch.held == want {
		return nil
	}
	r.batch.held = held{}
	for i := range r.options.MicroBatchSize {
		position := start + uint64(i)
		err := r.batch.fill(i, func(dst []int32) error { return r.data.Sequence(dst, position) })
		if err != nil {
			return fmt.Errorf("sequence %d: %w", position, err)
		}
	}
	r.batch.held = want
	return nil
}
