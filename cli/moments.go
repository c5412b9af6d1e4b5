package cli

import (
	"context"
	"path/filepath"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint/snapshot"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer"
)

// moments reads the state of a local worker's inner optimizer for a joiner, from its newest snapshot: the live one belongs
// to the worker's loop.
func (s *session) moments(name string) func() (uint64, [][]float32, []uint64, bool) {
	return func() (uint64, [][]float32, []uint64, bool) {
		files, err := snapshot.Open(filepath.Join(s.dir.node(name), "snapshot"))
		if err != nil {
			return 0, nil, nil, false
		}
		saved, err := files.Load()
		if err != nil {
			return 0, nil, nil, false
		}
		vecs, counters, n, err := (aggregator.Snapshot{Header: saved.Header, Vectors: saved.Vectors}).Private()
		if err != nil {
			return 0, nil, nil, false
		}
		own, count, ok := trainer.Moments(vecs, counters)
		return uint64(n), recast[[]float32](own), []uint64{count}, ok
	}
}

// settleIn makes the inner optimizer of a worker that joined under way fit for its first round: with those of its earlier life, with
// a peer's moments, if the run says so and a peer gives them, or by rewarming over half a round.
func (g *guest) settleIn(ctx context.Context, w *worker) {
	if vecs, counters, _, err := w.own.Private(); err == nil {
		w.own = aggregator.Snapshot{}
		if moments, count, ok := trainer.Moments(vecs, counters); ok && w.replica.Adopt(moments, count) == nil {
			return
		}
	}
	if g.cfg.Inner.Joiners == "copy" && !g.method.Gradient {
		err := g.copyMoments(ctx, w)
		if err == nil {
			return
		}
		g.log.Warn("the inner optimizer rewarms instead", "worker", w.name, "err", err)
	}
	w.replica.Rewarm(max(1, g.manifest.Schedule.Stride()/2))
}

func (g *guest) copyMoments(ctx context.Context, w *worker) error {
	m, err := w.node.FetchMoments(ctx, w.replica.MomentLens(), 1)
	if err != nil {
		return err
	}
	return w.replica.Adopt(recast[gradients.Vec](m.Vectors), m.Counters[0])
}

// recast gives vectors another name.
func recast[To, From ~[]float32](vecs []From) []To {
	out := make([]To, len(vecs))
	for i, v := range vecs {
		out[i] = To(v)
	}
	return out
}
