// Package bench trains N virtual workers in one process: the same loop, log and methods as over the real swarm, on a
// modelled network under a virtual clock. Same options, same result, bit by bit and second by second.
package bench

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrStuck says that tasks wait for something that nobody will ever do.
var ErrStuck = errors.New("the simulation stands still")

// errKilled ends a task from outside.
var errKilled = errors.New("killed")

// Clock is virtual time and who acts when. Tasks are goroutines of which one runs at a time; time moves on when all of them
// wait. Events at the same time happen in the order in which they were scheduled, so a history depends on nothing else.
type Clock struct {
	now   time.Duration // since the start
	queue events
	count uint64 // events scheduled so far
	tasks []*Task
	idle  chan struct{} // a task hands control back
	cores chan struct{} // real work at a time
	fail  error
}

// NewClock starts at zero. Work keeps up to cores real processors busy.
func NewClock(cores int) *Clock {
	return &Clock{idle: make(chan struct{}), cores: make(chan struct{}, max(1, cores))}
}

// Now is the time since the start.
func (c *Clock) Now() time.Duration { return c.now }

// At calls f at that time, or now if it is past. f must not wait.
func (c *Clock) At(at time.Duration, f func()) {
	c.count++
	heap.Push(&c.queue, event{max(at, c.now), c.count, f})
}

// Task is one of the things that go on.
type Task struct {
	clock *Clock
	name  string
	wake  chan struct{}
	turn  uint64 // wakes so far: a wake that was meant for an earlier wait is dropped
	begun bool   // its goroutine is there
	dead  bool   // to be ended at its next wait
	done  bool
}

// Go starts a task now. The first error that is not a kill ends the simulation.
func (c *Clock) Go(name string, f func(*Task) error) *Task {
	t := &Task{clock: c, name: name, wake: make(chan struct{})}
	c.tasks = append(c.tasks, t)
	c.At(c.now, func() {
		t.begun = true
		go func() {
			err := f(t)
			t.done = true
			if err != nil && !errors.Is(err, errKilled) && c.fail == nil {
				c.fail = fmt.Errorf("%s: %w", name, err)
			}
			c.idle <- struct{}{}
		}()
		<-c.idle
	})
	return t
}

// Kill ends a task at its next wait, which is now unless it is the one that runs.
func (t *Task) Kill() {
	t.dead = true
	t.clock.At(t.clock.now, t.resume(t.turn))
}

// wait hands control back until the task is resumed. One that is to end does not wait any more.
func (t *Task) wait() error {
	if !t.dead {
		t.clock.idle <- struct{}{}
		<-t.wake
	}
	if t.dead {
		return errKilled
	}
	return nil
}

// resume is an event that lets the task go on, if it still waits as it does in that turn.
func (t *Task) resume(turn uint64) func() {
	return func() {
		if t.done || t.turn != turn {
			return
		}
		t.turn++
		t.wake <- struct{}{}
		<-t.clock.idle
	}
}

// Sleep lets virtual time pass.
func (t *Task) Sleep(d time.Duration) error {
	if !t.dead {
		t.clock.At(t.clock.now+d, t.resume(t.turn))
	}
	return t.wait()
}

// Work does something real that takes d of virtual time. It runs beside the other tasks, so it may touch nothing of theirs.
func (t *Task) Work(d time.Duration, f func() error) error {
	done, cores := make(chan error, 1), t.clock.cores
	go func() {
		cores <- struct{}{}
		err := f()
		<-cores
		done <- err
	}()
	err := t.Sleep(d)
	return errors.Join(<-done, err)
}

// Signal is something that tasks wait for.
type Signal struct{ waiting []waiter }

type waiter struct {
	task *Task
	turn uint64
}

// Wait waits for the next Broadcast.
func (s *Signal) Wait(t *Task) error {
	s.waiting = append(s.waiting, waiter{t, t.turn})
	return t.wait()
}

// Broadcast wakes everybody who waits, in the order of their coming.
func (s *Signal) Broadcast(c *Clock) {
	for _, w := range s.waiting {
		c.At(c.now, w.task.resume(w.turn))
	}
	s.waiting = nil
}

// Run lets time pass until all tasks have ended, one has failed, or ctx has. No task is left behind.
func (c *Clock) Run(ctx context.Context) error {
	for c.fail == nil && c.alive() && ctx.Err() == nil {
		if len(c.queue) == 0 {
			c.fail = c.stuck()
			break
		}
		e := heap.Pop(&c.queue).(event)
		c.now = e.at
		e.do()
	}
	err := errors.Join(c.fail, ctx.Err())
	for _, t := range c.tasks {
		t.dead = true
		for t.begun && !t.done {
			t.resume(t.turn)()
		}
	}
	return err
}

func (c *Clock) alive() bool {
	return slices.ContainsFunc(c.tasks, func(t *Task) bool { return !t.done })
}

func (c *Clock) stuck() error {
	var names []string
	for _, t := range c.tasks {
		if !t.done {
			names = append(names, t.name)
		}
	}
	return fmt.Errorf("%w after %v: %s wait", ErrStuck, c.now, strings.Join(names, ", "))
}

// event is something to do at a time.
type event struct {
	at    time.Duration
	count uint64
	do    func()
}

type events []event

func (q events) Len() int      { return len(q) }
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].count < q[j].count
}
func (q *events) Push(x any) { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}
