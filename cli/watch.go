package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// lookEvery is how often a run under way is looked at.
const lookEvery = 500 * time.Millisecond

// watch looks after the run until the committee has closed it: it keeps the status line, says once a round that
// contributions are missing, and ends the run if a peer's disk has failed, for then all would wait in silence.
func (s *session) watch(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer s.out.update("")
	for warned := uint64(0); ; {
		select {
		case <-s.seat.members.Closed():
			return s.seat.members.Err()
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := s.broken(); err != nil {
			return err
		}
		schedule, step := s.manifest.Schedule, s.furthest()
		round := roundOf(schedule, step)
		s.out.update("%s", statusLine(schedule, step, len(s.workers), s.names(s.seat.members.Waiting())))
		if missing := s.seat.members.Short(); missing > 0 && warned != round {
			warned = round
			s.out.line("round %d is overdue: %d more contributions are needed (sync.min_peers=%d); it waits for them", round, missing, s.manifest.MinPeers)
		}
	}
}

// broken is why a peer of this machine cannot go on; nil while all can.
func (s *session) broken() error {
	var err error
	if s.seat != nil {
		err = s.seat.members.Err()
	}
	for _, w := range s.workers {
		err = errors.Join(err, w.node.Err())
	}
	return err
}

// furthest is the number of inner steps of the worker that has taken most.
func (s *session) furthest() (step uint64) {
	for _, w := range s.workers {
		step = max(step, w.step.Load())
	}
	return step
}

// names calls this machine's workers by their names and others by their identities.
func (s *session) names(peers []aggregator.PeerID) (out []string) {
	for _, p := range peers {
		name := p.String()
		if i := slices.IndexFunc(s.workers, func(w *worker) bool { return w.signer.ID == p }); i >= 0 {
			name = s.workers[i].name
		}
		out = append(out, name)
	}
	return out
}

// roundOf is the round that an inner step leads to.
func roundOf(s aggregator.Schedule, step uint64) uint64 { return (max(step, 1)-1)/s.Stride() + 1 }

// statusLine is what the terminal shows while a round is under way. That everybody is waited for goes without saying.
func statusLine(s aggregator.Schedule, step uint64, workers int, waiting []string) string {
	line := fmt.Sprintf("round %d/%d  step %d/%d", roundOf(s, step), s.Rounds(), step, s.Steps)
	if n := len(waiting); n > 0 && n < workers {
		line += "  waiting for " + strings.Join(waiting, ", ")
	}
	return line
}
