package optim

import (
	"fmt"
	"math"
)

// Schedule gives the learning rate of inner step t = 0, 1, 2, …, counted over the whole run on every worker alike.
type Schedule func(t uint64) float64

// Warmup rises linearly, peak·(t+1)/steps for t < steps, and then follows rest, which sees t from the run's start.
func Warmup(steps uint64, peak float64, rest Schedule) Schedule {
	return func(t uint64) float64 {
		if t < steps {
			return peak * float64(t+1) / float64(steps)
		}
		return rest(t)
	}
}

// Constant stays at peak.
func Constant(peak float64) Schedule { return func(uint64) float64 { return peak } }

// Cosine falls in half a cosine from peak at step from to floor at step to, and stays there.
func Cosine(peak, floor float64, from, to uint64) Schedule {
	return func(t uint64) float64 {
		return floor + float64(float64((peak-floor)*0.5)*(1+cosPi(progress(t, from, to))))
	}
}

// Linear falls in a straight line from peak at step from to floor at step to, and stays there.
func Linear(peak, floor float64, from, to uint64) Schedule {
	return func(t uint64) float64 { return peak + float64((floor-peak)*progress(t, from, to)) }
}

// cosPi is cos(πx) for 0 ≤ x ≤ 1 to the last digits of a float64. A schedule's rate is part of the shared state where the
// outer optimizer follows it, so it must have the same bits everywhere: math.Cos does not, and products are
// rounded before they are added so that nothing fuses.
func cosPi(x float64) float64 {
	if x > 0.5 {
		return -cosPi(1 - x)
	}
	t := float64(float64(math.Pi*x) * float64(math.Pi*x))
	sum := 1.0
	for k := 22.0; k > 0; k -= 2 { // Horner's scheme over the Taylor series: 1 − t/(1·2)·(1 − t/(3·4)·(1 − …))
		sum = 1 - float64(float64(t*sum)/float64(k*(k-1)))
	}
	return sum
}

// progress runs from 0 at step from to 1 at step to and beyond.
func progress(t, from, to uint64) float64 {
	switch {
	case t <= from && from < to:
		return 0
	case t >= to:
		return 1
	}
	return float64(t-from) / float64(to-from)
}

// ScheduleConfig names a schedule by the numbers of a run file.
type ScheduleConfig struct {
	Kind     string  // "constant"; "cosine"; "wsd": warm up, stay, decay linearly over the last Decay steps
	Peak     float64 // highest learning rate
	MinRatio float64 // the rate at the end, as a part of Peak
	Warmup   uint64  // steps
	Decay    uint64  // steps, of wsd; 0 means a fifth of Total
	Total    uint64  // steps of the whole run
}

// Build makes the schedule, or says which numbers do not fit together.
func (c ScheduleConfig) Build() (Schedule, error) {
	switch {
	case !(c.Peak > 0) || math.IsInf(c.Peak, 0):
		return nil, fmt.Errorf("schedule: lr %g must be a positive number", c.Peak)
	case !(c.MinRatio >= 0 && c.MinRatio <= 1):
		return nil, fmt.Errorf("schedule: min_lr_ratio %g must lie between 0 and 1", c.MinRatio)
	case c.Kind != "constant" && c.Warmup > c.Total:
		return nil, fmt.Errorf("schedule: warmup_steps %d is more than steps %d", c.Warmup, c.Total)
	}
	floor := float64(c.Peak * c.MinRatio)
	switch c.Kind {
	case "constant":
		return Warmup(c.Warmup, c.Peak, Constant(c.Peak)), nil
	case "cosine":
		return Warmup(c.Warmup, c.Peak, Cosine(c.Peak, floor, c.Warmup, c.Total)), nil
	case "wsd":
		decay := c.Decay
		if decay == 0 {
			decay = c.Total / 5
		}
		if decay > c.Total-c.Warmup {
			return nil, fmt.Errorf("schedule: warmup_steps %d and %d steps of decay do not fit into steps %d", c.Warmup, decay, c.Total)
		}
		return Warmup(c.Warmup, c.Peak, Linear(c.Peak, floor, c.Total-decay, c.Total)), nil
	}
	return nil, fmt.Errorf("schedule: schedule %q is none of constant, cosine, wsd", c.Kind)
}
