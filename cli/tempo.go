package cli

import (
	"context"
	"sync"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/configs"
)

// tempo measures how fast the workers of an asynchronous run are: by the clock of this machine, and by when the log counts how many steps of
// whom. Nobody has to be asked or believed. Waiting is a part of it: where it differs from worker to worker, steps are given up for it as for slow
// computation.
type tempo struct {
	perStep uint64 // tokens

	mu    sync.Mutex
	beats map[aggregator.PeerID][]beat // the last few, oldest first
}

// beat is a contribution that was counted.
type beat struct {
	at    time.Time
	steps float64
}

const (
	beatsKept = 6
	// slowestPart is the inverse of the part of the steps that a worker takes at least: somebody who hands in contributions that it cannot
	// have trained for makes the others believe that they are slow, but no slower than that.
	slowestPart = 16
	// absentAfter is after how many of its usual intervals a worker is no measure for the others any more.
	absentAfter = 4
)

// tempoOf is nil where the run file asks for none.
func tempoOf(c configs.Config) *tempo {
	if c.Sync.Pace != "auto" {
		return nil
	}
	return newTempo(uint64(c.Train.BatchSize) * uint64(c.Data.SeqLen))
}

// of is the pace of one worker.
func (t *tempo) of(self aggregator.PeerID) func(h uint64) uint64 {
	if t == nil {
		return nil
	}
	return func(h uint64) uint64 { return t.steps(self, h, time.Now()) }
}

func newTempo(perStep uint64) *tempo {
	return &tempo{perStep: perStep, beats: map[aggregator.PeerID][]beat{}}
}

// certificates is the log, where they come from as they arrive.
type certificates interface {
	Tip() aggregator.Seq
	Certificate(ctx context.Context, n aggregator.Seq) (*aggregator.Certificate, error)
}

// watch follows the log until ctx ends. What comes all at once, after a gap, says nothing about time.
func (t *tempo) watch(ctx context.Context, log certificates) {
	for n := log.Tip() + 1; ; n++ {
		c, err := log.Certificate(ctx, n)
		if err != nil {
			return
		}
		if log.Tip() > n {
			t.forget()
			n = log.Tip()
			continue
		}
		t.note(c, time.Now())
	}
}

func (t *tempo) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.beats)
}

// note takes in a certificate that came at that time.
func (t *tempo) note(c *aggregator.Certificate, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range c.List {
		e := &c.List[i]
		bs := append(t.beats[e.Worker], beat{at, float64(e.Weight) / float64(t.perStep)})
		t.beats[e.Worker] = bs[max(0, len(bs)-beatsKept):]
	}
}

// speed is how many steps a second a worker takes, if that is known and still true.
func (t *tempo) speed(p aggregator.PeerID, now time.Time) float64 {
	bs := t.beats[p]
	if len(bs) < 2 {
		return 0
	}
	first, last := bs[0].at, bs[len(bs)-1].at
	took := last.Sub(first).Seconds()
	if usual := took / float64(len(bs)-1); took <= 0 || now.Sub(last).Seconds() > absentAfter*usual {
		return 0
	}
	steps := 0.0
	for _, b := range bs[1:] {
		steps += b.steps
	}
	return steps / took
}

// steps is how many of h steps a worker takes: as many as the fastest takes h of in the same time (Liu et al. 2024, arXiv 2401.09135, section 5). All, as
// long as too little is known.
func (t *tempo) steps(self aggregator.PeerID, h uint64, now time.Time) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	own, best := t.speed(self, now), 0.0
	for p := range t.beats {
		best = max(best, t.speed(p, now))
	}
	if own == 0 || best == 0 {
		return h
	}
	return min(h, max(uint64(own/best*float64(h)), h/slowestPart, 1))
}
