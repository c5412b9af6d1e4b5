package engine

import (
	"fmt"
	"time"
)

// Recorder is an Engine that can make many calls at once, at the cost of one.
type Recorder interface {
	// Record takes down the calls that run makes, on this engine and by kernels only, in place of making them. replay makes them
	// with the same arguments: they read what is in the buffers by then. Calls of the same arguments must have been made before,
	// as the first ones may take memory.
	Record(run func() error) (replay func(), err error)
	// Replayed is how long the device has worked on replays, of those that somebody has waited for.
	Replayed() time.Duration
}

// Replayed is how long the device of e has worked on replays; engines that are no Recorders have none.
func Replayed(e Engine) time.Duration {
	if r, ok := e.(Recorder); ok {
		return r.Replayed()
	}
	return 0
}

// Passes are told apart by what their calls depend on.
type Passes[K comparable] map[K]*Pass

// Of is the Pass of that key.
func (p Passes[K]) Of(key K) *Pass {
	if p[key] == nil {
		p[key] = new(Pass)
	}
	return p[key]
}

// Pass is a sequence of calls that is made again and again, with the same arguments. The zero Pass was not made yet.
type Pass struct {
	made   bool
	replay func()
}

// Run makes the calls that run makes on e. A Recorder takes them down the second time, and that and all later times are replays.
func (p *Pass) Run(e Engine, run func() error) error {
	recorder, ok := e.(Recorder)
	if !ok || !p.made {
		p.made = true
		return run()
	}
	if p.replay == nil {
		var err error
		if p.replay, err = recorder.Record(run); err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	p.replay()
	return nil
}
