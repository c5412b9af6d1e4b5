package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/gradients"
)

// glance evaluates on the first few batches of the validation split, during the run; nil if there is no split.
func (s *session) glance(ctx context.Context, w *worker, params gradients.Vec) (*float64, error) {
	n := min(s.corpus.data.Validations(), s.cfg.Eval.Batches*s.cfg.Train.MicroBatchSize)
	if n == 0 {
		return nil, nil
	}
	loss, err := w.replica.Evaluate(ctx, params, 0, n)
	if err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	return &loss, nil
}

// validate evaluates the final parameters on the whole validation split, each local worker whose device is there a part of it, and
// lists the loss with their checkpoint; nil if there is no split.
func (s *session) validate(ctx context.Context) (*float64, error) {
	n := s.corpus.data.Validations()
	if n == 0 {
		return nil, nil
	}
	s.out.update("evaluating the whole validation split (%d sequences)", n)
	defer s.out.update("")
	params := s.survivor().loop.State().Anchor
	able := slices.DeleteFunc(slices.Clone(s.workers), func(w *worker) bool { return w.replica.Err() != nil })
	if len(able) == 0 {
		return nil, fmt.Errorf("evaluating: %w", s.workers[0].replica.Err())
	}
	parts := make([]float64, len(able))
	g, ctx := errgroup.WithContext(ctx)
	for i, w := range able {
		lo, hi := i*n/len(parts), (i+1)*n/len(parts)
		if lo == hi {
			continue
		}
		g.Go(func() error {
			loss, err := w.replica.Evaluate(ctx, params, lo, hi)
			parts[i] = loss * float64(hi-lo)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	var sum float64
	for _, p := range parts {
		sum += p
	}
	loss, last := sum/float64(n), s.report.last
	return &loss, checkpoint.OpenIndex(s.dir.checkpoints()).Add(checkpoint.Record{
		Seq: aggregator.Seq(last.Round), Step: last.Step, CID: last.Checkpoint, Loss: &loss, Time: time.Now(),
	})
}
