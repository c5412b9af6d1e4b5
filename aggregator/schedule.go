package aggregator

import "github.com/skein-train/skein/gradients"

// Schedule says which fragment leaves and which lands after an inner step. Inner steps count from 1, rounds from 1;
// round n is the n-th departure. Fragments leave in turn, one every Every/Fragments steps, and land Delay steps later
// (Streaming DiLoCo, arXiv 2501.18512, section 2).
type Schedule struct {
	Every     uint64 // H: inner steps between two departures of the same fragment
	Fragments uint64 // P: must divide Every
	Delay     uint64 // τ: inner steps between departure and landing
	Steps     uint64 // inner steps of the whole run
}

// Stride is the number of inner steps between departures of whatever fragment.
func (s Schedule) Stride() uint64 { return s.Every / s.Fragments }

// Rounds is the number of rounds of the run.
func (s Schedule) Rounds() Seq { return Seq(s.Steps / s.Stride()) }

// Departs returns the round that leaves after the step, if one does.
func (s Schedule) Departs(step uint64) (Seq, bool) {
	return Seq(step / s.Stride()), step > 0 && step%s.Stride() == 0
}

// Next is the first round to leave after the step.
func (s Schedule) Next(step uint64) Seq { return Seq(step/s.Stride()) + 1 }

// Lands returns the round that lands after the step, if one does.
func (s Schedule) Lands(step uint64) (Seq, bool) {
	if step <= s.Delay {
		return 0, false
	}
	return s.Departs(step - s.Delay)
}

// Key names the departure of round n.
func (s Schedule) Key(n Seq) gradients.Key {
	return gradients.Key{Fragment: int((uint64(n) - 1) % s.Fragments), Departure: uint64(n) * s.Stride()}
}

// Base is the round whose anchor the pseudo-gradient of round n counts from: the last to have landed when it leaves.
func (s Schedule) Base(n Seq) Seq {
	behind := Seq(1 + s.Delay/s.Stride())
	if n <= behind {
		return 0
	}
	return n - behind
}

// Landing is the inner step after which round n lands; round 0, the genesis, lands before the first step. Rounds
// whose landing would lie behind the last step land right after it.
func (s Schedule) Landing(n Seq) uint64 {
	if n == 0 {
		return 0
	}
	return min(uint64(n)*s.Stride()+s.Delay, s.Steps)
}

// Period is the number of inner steps between the landings of rounds n and n+1: what round n's reservation of data is for.
func (s Schedule) Period(n Seq) uint64 {
	if n >= s.Rounds() {
		return s.Steps - s.Landing(n)
	}
	return s.Landing(n+1) - s.Landing(n)
}
