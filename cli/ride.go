package cli

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// train runs the workers until all are done, and attend beside them, which looks after the run and says when it is over. A worker
// may be lost on the way; the last one takes the run along.
func (s *session) train(ctx context.Context, attend func(context.Context) error) error {
	g, inner := errgroup.WithContext(ctx)
	if s.tempo != nil {
		watching, done := context.WithCancel(inner)
		defer done()
		go s.tempo.watch(watching, s.workers[0].node)
	}
	var left atomic.Int64
	left.Store(int64(len(s.workers)))
	for _, w := range s.workers {
		g.Go(func() error {
			err := s.ride(inner, w)
			if err == nil || inner.Err() != nil {
				return err
			}
			if lost := w.lost(err); lost != nil {
				return s.lose(inner, w, lost, left.Add(-1) == 0)
			}
			return fmt.Errorf("worker %s: %w", w.name, err)
		})
	}
	g.Go(func() error { return attend(inner) })
	return g.Wait()
}

// ride runs one worker's loop, again and again if a mended worker may go on.
func (s *session) ride(ctx context.Context, w *worker) error {
	for {
		err := w.loop.Run(ctx)
		if err == nil || ctx.Err() != nil || s.mend == nil {
			return err
		}
		if failed := s.mend(ctx, w, err); failed != nil {
			return failed
		}
	}
}

// lost is why a worker whose loop ended with err is lost for this life of the run while others may go on: its device failed, or a
// planned fault killed it. Else it is nil.
func (w *worker) lost(err error) error {
	if errors.Is(err, errKilled) {
		return errKilled
	}
	return w.replica.Err() // what the loop said is how it noticed
}

// lose lets a lost worker go, with an error if it was the last one. A worker that can still speak says goodbye, so that the others
// finish the round without it; its peer stays and gives them what they ask for.
func (s *session) lose(ctx context.Context, w *worker, why error, last bool) error {
	w.gone.Store(true)
	if errors.Is(why, errKilled) {
		s.out.line("worker %s was killed by --fault", w.name)
		if last {
			return errors.New("no worker is left")
		}
		return nil
	}
	if last {
		return fmt.Errorf("worker %s: %w", w.name, why)
	}
	s.out.line("worker %s leaves: %v", w.name, why)
	if err := w.exchange.Leave(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("leaving", "worker", w.name, "err", err)
	}
	return nil
}

// lead is the first local worker that still takes part.
func (s *session) lead() *worker {
	for _, w := range s.workers {
		if !w.gone.Load() {
			return w
		}
	}
	return s.workers[0]
}
