package cli

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/skein-train/skein/internal/usage"
	"github.com/skein-train/skein/trainer"
)

// stopwatch is what timing some steps has brought.
type stopwatch struct {
	wall, cpu              []float64 // seconds of each step
	kinds                  map[string]*kind
	allocations, allocated uint64 // number and bytes, of all steps
	replayed               time.Duration
}

// kind sums up one kind of op.
type kind struct {
	calls        int // of one step, as all that follows
	flops, bytes int64
	now          time.Duration   // of the step under way
	times        []time.Duration // of the steps before
}

// timeSteps takes two steps to warm up, and times those that follow, part by part if they are watched.
func timeSteps(ctx context.Context, r *trainer.Replica, steps int, watched bool, out *console) (*stopwatch, error) {
	const warm = 2
	s := &stopwatch{kinds: map[string]*kind{}, wall: make([]float64, 0, steps), cpu: make([]float64, 0, steps)}
	var before, after runtime.MemStats
	for i := range warm + steps {
		if i < warm {
			out.update("warming up")
		} else {
			out.update("step %d of %d", i-warm+1, steps)
		}
		if i == warm {
			s.forget()
			s.replayed = -r.Replayed()
			runtime.ReadMemStats(&before)
		}
		if watched {
			r.Watch(s.note)
		}
		start, cpu := time.Now(), usage.CPU()
		if _, err := r.Step(ctx); err != nil {
			return nil, err
		}
		s.lap(time.Since(start).Seconds(), (usage.CPU() - cpu).Seconds(), steps)
	}
	runtime.ReadMemStats(&after)
	s.replayed += r.Replayed()
	r.Watch(nil)
	s.allocations, s.allocated = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	return s, nil
}

// note is told of every part of a step.
func (s *stopwatch) note(e trainer.Event) {
	name := e.Op
	if e.Again {
		name += " again"
	}
	k := s.kinds[name]
	if k == nil {
		k = &kind{}
		s.kinds[name] = k
	}
	k.calls++
	k.flops += e.FLOPs
	k.bytes += e.Bytes
	k.now += e.Took
}

// lap ends a step.
func (s *stopwatch) lap(wall, cpu float64, steps int) {
	s.wall, s.cpu = append(s.wall, wall), append(s.cpu, cpu)
	for _, k := range s.kinds {
		if k.times == nil {
			k.times = make([]time.Duration, 0, steps)
		}
		k.times, k.now = append(k.times, k.now), 0
	}
}

// forget drops the times of the steps so far and their counts, not the memory for them.
func (s *stopwatch) forget() {
	s.wall, s.cpu = s.wall[:0], s.cpu[:0]
	for _, k := range s.kinds {
		*k = kind{times: k.times[:0]}
	}
}

// rates are those of that many units a step.
func (s *stopwatch) rates(units float64) (r rates) {
	r = rates{Median: units / median(s.wall), Best: units / slices.Min(s.wall)}
	if least := slices.Min(s.cpu); least > 0 {
		r.CPUMedian, r.CPUBest = units/median(s.cpu), units/least
	}
	return r
}

// captured is the part of the steps in which the device worked on replays.
func (s *stopwatch) captured() float64 {
	var all float64
	for _, w := range s.wall {
		all += w
	}
	return s.replayed.Seconds() / all
}

// parts are the kinds of ops in a step of that many seconds, the longest first, and what of the step is outside of them.
func (s *stopwatch) parts(step float64) (out []part, rest time.Duration) {
	n := len(s.wall)
	outside := slices.Clone(s.wall)
	for name, k := range s.kinds {
		p := part{Op: name, Calls: k.calls / n, Time: median(k.times), FLOPs: k.flops / int64(n), Bytes: k.bytes / int64(n)}
		p.Share = p.Time.Seconds() / step
		out = append(out, p)
		for i, t := range k.times {
			outside[i] -= t.Seconds()
		}
	}
	slices.SortFunc(out, func(a, b part) int { return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Op, b.Op)) })
	return out, time.Duration(median(outside) * float64(time.Second))
}

// median is the middle one, the higher of two.
func median[T cmp.Ordered](x []T) T {
	sorted := slices.Sorted(slices.Values(x))
	return sorted[len(sorted)/2]
}
