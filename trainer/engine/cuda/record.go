package cuda

import (
	"errors"
	"time"

	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// Record captures what run queues as a graph of the driver: launching it costs about as much as launching one kernel.
func (e *Engine) Record(run func() error) (replay func(), err error) {
	if e.err != nil {
		return nil, e.err
	}
	before := e.stats
	e.recording = true
	g, err := e.stream.Capture(func() error {
		if err := run(); err != nil {
			return err
		}
		return e.err
	})
	e.recording = false
	e.stats = before // nothing was done yet
	if err != nil {
		e.fail(err)
		return nil, err
	}
	e.graphs = append(e.graphs, g)
	return func() {
		if e.err == nil {
			e.stats.Replays++
			e.fail(e.clock.time(e.context, e.stream, func() error { return g.Launch(e.stream) }))
		}
	}, nil
}

// Replayed implements engine.Recorder.
func (e *Engine) Replayed() time.Duration { return e.clock.sum }

// clock adds up what replays take the device.
type clock struct {
	sum  time.Duration
	laps []lap
	open int // of laps, those that were not read yet
}

type lap struct{ from, to *driver.Event }

// time queues the replay between two events.
func (c *clock) time(context *driver.Context, s *driver.Stream, replay func() error) error {
	if c.open == len(c.laps) {
		from, err := context.NewEvent()
		if err != nil {
			return err
		}
		to, err := context.NewEvent()
		if err != nil {
			return errors.Join(err, from.Close())
		}
		c.laps = append(c.laps, lap{from, to})
	}
	l := c.laps[c.open]
	c.open++
	if err := l.from.Record(s); err != nil {
		return err
	}
	if err := replay(); err != nil {
		return err
	}
	return l.to.Record(s)
}

// read adds up what was timed, when all of it is done.
func (c *clock) read(e *Engine) {
	for _, l := range c.laps[:c.open] {
		if e.err != nil {
			return
		}
		took, err := l.to.Since(l.from)
		e.fail(err)
		c.sum += took
	}
	c.open = 0
}

func (c *clock) close() error {
	var errs []error
	for _, l := range c.laps {
		errs = append(errs, l.from.Close(), l.to.Close())
	}
	return errors.Join(errs...)
}
