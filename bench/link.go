package bench

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Link is a run as far as it loads a worker's link: every worker computes alike and has the same link, which sends and receives at
// once. docs/results/utilisation.md derives what follows from it.
type Link struct {
	Parameters float64       `json:"parameters"` // that the workers exchange in Every steps
	Bits       float64       `json:"-"`          // of a parameter on the wire, framing included
	Step       time.Duration `json:"step_ns"`    // of pure computation that an inner step takes
	Every      int           `json:"every"`      // H: inner steps between two departures of the same fragment; 1 and one fragment: data parallel
	Fragments  int           `json:"fragments"`  // P: that leave one after the other within Every steps
	Delay      int           `json:"delay"`      // τ: inner steps between departure and landing; 0: everybody waits
	Workers    int           `json:"workers"`
	Topology   string        `json:"topology"`   // all, pair, hub or ring
	Latency    time.Duration `json:"latency_ns"` // of a message from one worker to another

	// Layers is 0 where a fragment leaves after its step's end and lands before the next step begins, as in this program. Otherwise
	// layers of equal size and time leave one by one while the step's backward pass goes on, from the last to the first, and the
	// fragment is waited for only where the next forward pass needs its first layer (arXiv 2501.18512, section 3.1). Fragments are
	// strided: layer l belongs to fragment l mod P.
	Layers int `json:"layers,omitempty"`
}

// road is what a topology makes of one payload.
type road struct {
	copies float64 // that pass over a worker's link each way
	after  float64 // payloads' times that pass between the last copy's departure and the landing besides
	hops   float64 // messages one after the other
}

// Topologies of a Link.
const (
	everyone = "all"  // a worker's payload goes to each of the others and to the committee
	twos     = "pair" // to one other worker, who tells the committee that it is there
	hub      = "hub"  // to an aggregator with links enough, whose sum comes back when it is complete
	ring     = "ring" // all-reduce: n-1 steps reduce and n-1 gather, each of an n-th
)

func (l Link) road() (road, error) {
	n := float64(l.Workers)
	switch l.Topology {
	case everyone:
		return road{copies: n, hops: 2}, nil
	case twos:
		return road{copies: 1, hops: 3}, nil
	case hub:
		return road{copies: 1, after: 1, hops: 2}, nil
	case ring:
		return road{copies: 2 * (n - 1) / n, hops: 2 * (n - 1)}, nil
	}
	return road{}, fmt.Errorf("topology %q is none of all, pair, hub, ring", l.Topology)
}

// certificate is how many messages pass at least before a round lands: a header to the committee, the certificate back.
const certificate = 2

func (l Link) check() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(!(l.Parameters > 0), "%g parameters: want more than 0", l.Parameters)
	bad(!(l.Bits > 0), "%g bits per parameter: want more than 0", l.Bits)
	bad(l.Step <= 0, "%v for a step: want more than 0", l.Step)
	bad(l.Every < 1 || l.Every > 1e6, "an exchange every %d steps: want 1 to 1,000,000", l.Every)
	bad(l.Fragments < 1 || l.Fragments > max(1, min(l.Every, 1e4)), "%d fragments: want 1 to 10,000, and one of the %d steps for each", l.Fragments, l.Every)
	bad(l.Delay < 0 || l.Delay > l.Every, "a delay of %d steps: want 0 to %d, the steps between exchanges", l.Delay, l.Every)
	bad(l.Workers < 2, "%d workers: want at least 2", l.Workers)
	bad(l.Latency < 0, "a latency of %v: want 0 or more", l.Latency)
	bad(l.Layers < 0 || l.Layers > 1e4, "%d layers: want 0 to 10,000", l.Layers)
	bad(l.Layers > 0 && l.Layers < l.Fragments, "%d layers in %d fragments: want a layer for each", l.Layers, l.Fragments)
	return errors.Join(errs...)
}

// Timeline is a run's departures and landings in the order of the computation: the work that workers have done by then, in seconds.
// Waiting shifts all that follows, so one timeline serves all bandwidths.
type Timeline struct {
	road
	latency float64 // seconds
	period  float64 // seconds of computation that Every steps take
	bits    float64 // that leave a worker in a period, each once
	events  []mark
	rounds  int // in all
	perLoop int // in a period
}

// mark is a layer's departure, or the landing of a fragment.
type mark struct {
	at    float64 // seconds of computation done
	round int
	share float64 // of all parameters, of a departure; 0: a landing
}

// The first periods fill the road; the others are counted.
const fillPeriods, countedPeriods = 8, 8

// Timeline lays out some periods of the run.
func (l Link) Timeline() (*Timeline, error) {
	way, err := l.road()
	if err := errors.Join(l.check(), err); err != nil {
		return nil, err
	}
	step := l.Step.Seconds()
	t := &Timeline{road: way, latency: l.Latency.Seconds(), period: float64(l.Every) * step, bits: l.Parameters * l.Bits,
		rounds: (fillPeriods + countedPeriods) * l.Fragments, perLoop: l.Fragments}
	for n := range t.rounds {
		leaves := (n + 1) * l.Every / l.Fragments // steps done
		at, share := l.departures(n % l.Fragments)
		for _, before := range at {
			t.events = append(t.events, mark{float64(leaves)*step - before, n, share})
		}
		t.events = append(t.events, mark{at: float64(leaves+l.Delay)*step + l.grace(n%l.Fragments), round: n})
	}
	slices.SortStableFunc(t.events, func(a, b mark) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.share, a.share)) // what leaves does not wait for what lands at the same moment
	})
	return t, nil
}

// node is the time of one layer's forward pass, of its activations' backward pass, and of its parameters'. A step is all of these
// but the backward pass of the first layer's activations, which nobody needs.
func (l Link) node() float64 { return l.Step.Seconds() / float64(3*l.Layers-1) }

// departures are how long before the step's end a fragment's gradients are ready, piece by piece, and the part of all parameters
// that each piece is.
func (l Link) departures(fragment int) (before []float64, share float64) {
	if l.Layers == 0 {
		return []float64{0}, 1 / float64(l.Fragments)
	}
	for layer := l.Layers - 1; layer >= 0; layer-- {
		if layer%l.Fragments == fragment { // below it, 2 nodes a layer and one for the first are still to come
			before = append(before, float64(max(0, 2*layer-1))*l.node())
		}
	}
	return before, 1 / float64(l.Layers)
}

// grace is how long after the step's beginning a fragment is needed: when the forward pass comes to its first layer.
func (l Link) grace(fragment int) float64 {
	if l.Layers == 0 {
		return 0
	}
	return float64(fragment) * l.node()
}

// Utilisation is the part of the time that workers compute, 0 to 1, when the link carries that many bits a second each way.
func (t *Timeline) Utilisation(bitsPerSecond float64) float64 {
	whole := t.bits / bitsPerSecond // seconds that all parameters take once
	var waited, before, free float64
	done := make([]float64, t.rounds) // when each round's payloads have gone
	spent := make([]float64, t.rounds)
	for _, e := range t.events {
		now := e.at + waited
		if e.share > 0 {
			free = max(free, now) + t.copies*e.share*whole
			spent[e.round] += t.after * e.share * whole
			done[e.round] = max(free+spent[e.round]+t.hops*t.latency, now+certificate*t.latency)
			continue
		}
		waited += max(0, done[e.round]-now)
		if e.round == fillPeriods*t.perLoop-1 {
			before = waited
		}
	}
	counted := countedPeriods * t.period
	// With many rounds under way a road that is a little too narrow fills up only slowly: in the end nobody is faster than it.
	return min(counted/(counted+waited-before), t.period/(t.copies*whole))
}

// Bandwidth is the least that gives a utilisation, in bits per second each way: +Inf if none does, for the latency alone takes too long.
func (t *Timeline) Bandwidth(utilisation float64) float64 {
	const most = 1e18 // bit/s
	low, high := 1.0, 2.0
	for t.Utilisation(high) < utilisation {
		if low, high = high, 2*high; high > most {
			return math.Inf(1)
		}
	}
	for high/low > 1+1e-9 {
		if middle := math.Sqrt(low * high); t.Utilisation(middle) < utilisation {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}
