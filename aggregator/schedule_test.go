package aggregator_test

import (
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
	"pgregory.net/rapid"
)

func drawSchedule(t *rapid.T) Schedule {
	s := Schedule{Fragments: rapid.Uint64Range(1, 5).Draw(t, "fragments")}
	s.Every = s.Fragments * rapid.Uint64Range(1, 6).Draw(t, "stride")
	s.Delay = rapid.Uint64Range(0, 2*s.Every).Draw(t, "delay")
	s.Steps = rapid.Uint64Range(s.Every/s.Fragments, 4*s.Every+3).Draw(t, "steps")
	return s
}

// A queue of departures, walked step by step, says what the formulas say.
func TestScheduleAgainstAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t)
		type flight struct {
			n     Seq
			lands uint64
		}
		var sky []flight
		var landed, rounds Seq
		landings := []uint64{0}
		land := func(step uint64) {
			landed = sky[0].n
			sky = sky[1:]
			landings = append(landings, step)
		}
		for step := uint64(1); step <= s.Steps; step++ {
			n, departs := s.Departs(step)
			if departs != (step%(s.Every/s.Fragments) == 0) {
				t.Fatalf("step %d departs: %v", step, departs)
			}
			if departs {
				if rounds++; n != rounds {
					t.Fatalf("step %d: round %d departs, expected %d", step, n, rounds)
				}
				if want := (gradients.Key{Fragment: int(rounds-1) % int(s.Fragments), Departure: step}); s.Key(n) != want {
					t.Fatalf("round %d: key %v, want %v", n, s.Key(n), want)
				}
				if s.Base(n) != landed {
					t.Fatalf("round %d counts from %d, the last to land was %d", n, s.Base(n), landed)
				}
				sky = append(sky, flight{n, step + s.Delay})
			}
			n, lands := s.Lands(step)
			if due := len(sky) > 0 && sky[0].lands == step; lands != due || due && n != sky[0].n {
				t.Fatalf("step %d: round %d lands: %v, the queue holds %v", step, n, lands, sky)
			}
			if lands {
				land(step)
			}
		}
		for len(sky) > 0 { // drained after the last step
			land(s.Steps)
		}
		if s.Rounds() != rounds {
			t.Fatalf("%d rounds, counted %d", s.Rounds(), rounds)
		}
		sum := uint64(0)
		for n, step := range landings {
			if s.Landing(Seq(n)) != step {
				t.Fatalf("round %d lands after step %d, the queue says %d", n, s.Landing(Seq(n)), step)
			}
			next := s.Steps
			if n+1 < len(landings) {
				next = landings[n+1]
			}
			if s.Period(Seq(n)) != next-step {
				t.Fatalf("round %d reserves %d steps, the queue says %d", n, s.Period(Seq(n)), next-step)
			}
			sum += s.Period(Seq(n))
		}
		if sum != s.Steps || !slices.IsSorted(landings) {
			t.Fatalf("periods add up to %d of %d steps, landings %v", sum, s.Steps, landings)
		}
	})
}

// Every fragment departs once in each period of Every steps.
func TestFragmentsTakeTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t)
		last := map[int]uint64{}
		for n := Seq(1); n <= s.Rounds(); n++ {
			k := s.Key(n)
			if before, ok := last[k.Fragment]; ok && k.Departure-before != s.Every {
				t.Fatalf("fragment %d departs after steps %d and %d, every %d", k.Fragment, before, k.Departure, s.Every)
			}
			last[k.Fragment] = k.Departure
		}
		if want := min(uint64(s.Rounds()), s.Fragments); uint64(len(last)) != want {
			t.Fatalf("%d fragments departed, expected %d", len(last), want)
		}
	})
}
