package bench

import (
	"fmt"
	"slices"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// Fault is something that goes wrong with a worker when it is about to take a step of its own. Steps are counted from 1 over all
// its lives.
type Fault struct {
	Worker int
	Step   uint64
	Kind   string // pause: for a while; slow: Factor times as long a step for a while; kill: it is gone, and comes back after a while, if that is not 0
	For    time.Duration
	Factor float64
}

// CheckFaults names the first fault that makes no sense.
func CheckFaults(faults []Fault, workers int) error {
	for i, f := range faults {
		switch {
		case f.Worker < 0 || f.Worker >= workers || f.Step == 0 || f.For < 0:
			return fmt.Errorf("fault %d: worker %d of %d at step %d for %v", i, f.Worker, workers, f.Step, f.For)
		case !slices.Contains([]string{"pause", "slow", "kill"}, f.Kind):
			return fmt.Errorf("fault %d: %q is none of pause, slow, kill", i, f.Kind)
		case f.Kind == "slow" && !(f.Factor > 0):
			return fmt.Errorf("fault %d: a slow worker needs a positive factor, not %g", i, f.Factor)
		}
	}
	return nil
}

// suffer lets happen what is planned for a worker's coming step, and returns how long the step takes.
func (s *simulation) suffer(worker int, step uint64, takes time.Duration) (time.Duration, error) {
	t := s.exchange.ports[worker].task
	for _, f := range s.Faults {
		if f.Worker != worker {
			continue
		}
		switch {
		case f.Kind == "slow" && step >= f.Step && s.clock.now < s.slowUntil(f, step):
			takes = time.Duration(float64(takes) * f.Factor)
		case f.Step != step:
		case f.Kind == "pause":
			if err := t.Sleep(f.For); err != nil {
				return 0, err
			}
		case f.Kind == "kill":
			if f.For > 0 {
				s.clock.At(s.clock.now+f.For, func() { s.comeBack(worker) })
			}
			t.dead = true
			return 0, errKilled
		}
	}
	return takes, nil
}

// slowUntil is when a slow spell ends. It begins with its step.
func (s *simulation) slowUntil(f Fault, step uint64) time.Duration {
	key := [2]uint64{uint64(f.Worker), f.Step}
	if _, known := s.spells[key]; !known && step >= f.Step {
		s.spells[key] = s.clock.now + f.For
	}
	return s.spells[key]
}

// comeBack starts a worker's next life: with a fresh model, from the newest state that anybody has, asking for a seat.
func (s *simulation) comeBack(worker int) {
	if s.shared == nil { // nothing has landed yet: from the beginning
		s.start(worker, nil)
		return
	}
	from := &aggregator.Shared{Seq: s.shared.Seq, Anchor: slices.Clone(s.shared.Anchor)}
	for _, v := range s.shared.Outer {
		from.Outer = append(from.Outer, slices.Clone(v))
	}
	s.start(worker, from)
}

// remember keeps the newest shared state for those who come back, if anybody will.
func (s *simulation) remember(state *aggregator.State) {
	if !slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Kind == "kill" && f.For > 0 }) || s.shared != nil && s.shared.Seq >= state.Seq {
		return
	}
	s.shared = &aggregator.Shared{Seq: state.Seq, Anchor: slices.Clone(state.Anchor)}
	for _, v := range state.Outer {
		s.shared.Outer = append(s.shared.Outer, slices.Clone(v))
	}
}

// lossy is a codec whose payloads get lost: an empty one counts nothing and is refused by everybody alike.
type lossy struct {
	gradients.Codec
	lost func(gradients.Key) bool
}

func (c lossy) Append(dst []byte, k gradients.Key, v gradients.Vec, st []gradients.Vec) []byte {
	if c.lost(k) {
		return dst
	}
	return c.Codec.Append(dst, k, v, st)
}

// losing is the method for a worker that loses some contributions.
func (s *simulation) losing(worker int) aggregator.Method {
	m := s.Method
	if s.Lost == nil {
		return m
	}
	m.Codec = func(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
		c, err := s.Method.Codec(l, f)
		return lossy{c, func(k gradients.Key) bool { return s.Lost(worker, k.Departure) }}, err
	}
	return m
}
