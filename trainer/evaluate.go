package trainer

import (
	"context"
	"fmt"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/graph"
)

// outer holds parameters that are looked at but not trained: the programs that read them, and memory of their own, so that
// the replica's state is never touched.
type outer struct {
	params engine.Buf
	losses map[int]*graph.Program // by sequences in a batch
	sample *graph.Program
}

// look readies outer for params, all of the model's.
func (r *Replica) look(params gradients.Vec) (*outer, error) {
	if len(params) != r.Len() {
		return nil, fmt.Errorf("%d parameters for a model of %d", len(params), r.Len())
	}
	if r.outer == nil {
		r.outer = &outer{params: r.engine.Alloc(r.Len()), losses: map[int]*graph.Program{}}
	}
	r.engine.Upload(r.outer.params, params)
	for _, p := range r.outer.losses {
		if err := p.Refresh(1); err != nil {
			return nil, err
		}
	}
	if r.outer.sample != nil {
		if err := r.outer.sample.Refresh(1); err != nil {
			return nil, err
		}
	}
	return r.outer, nil
}

// Evaluate is the mean loss, in nats a token, of the given parameters on the validation sequences [lo, hi); they are
// taken in batches of micro_batch_size. The replica's own parameters and state stay as they are.
func (r *Replica) Evaluate(ctx context.Context, params gradients.Vec, lo, hi int) (loss float64, err error) {
	o, err := r.look(params)
	if err != nil {
		return 0, fmt.Errorf("trainer: evaluate: %w", err)
	}
	if n := r.data.Validations(); lo < 0 || hi <= lo || hi > n {
		return 0, fmt.Errorf("trainer: evaluate: sequences [%d, %d) of a validation split of %d", lo, hi, n)
	}
	var sum float64
	for at := lo; at < hi; {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("trainer: evaluate: %w", err)
		}
		size := r.options.MicroBatchSize
		if hi-at < size {
			size = 1 // the rest, one by one: programs have a fixed batch size
		}
		l, err := r.validate(o, at, size)
		if err != nil {
			return 0, fmt.Errorf("trainer: evaluate: %w", err)
		}
		sum += l * float64(size)
		at += size
	}
	return sum / float64(hi-lo), nil
}

// validate is the mean loss over size validation sequences from index at on.
func (r *Replica) validate(o *outer, at, size int) (float64, error) {
	p := o.losses[size]
	if p == nil {
		var err error
		if p, err = graph.Loss(r.engine, r.shape(size), o.params, r.arena); err != nil {
			return 0, err
		}
		if err := p.Refresh(1); err != nil {
			return 0, err
		}
		o.losses[size] = p
	}
	r.batch.held = held{}
	for i := range size {
		if err := r.batch.fill(i, func(dst []int32) error { return r.data.Validation(dst, at+i) }); err != nil {
			return 0, fmt.Errorf("validation sequence %d: %w", at+i, err)
		}
	}
	n := size * r.data.SeqLen()
	p.Feed(r.batch.tokens[:n], r.batch.targets[:n])
	if err := p.Run(); err != nil {
		return 0, err
	}
	return p.Loss(), r.Err()
}
