package remote

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

// MirrorOptions say how a Mirror works. Every field may be absent.
type MirrorOptions struct {
	Origins func() []string                                     // where the service can fetch from; asked for each pin, the first 20 count
	Meet    func(ctx context.Context, delegates []string) error // connects to who will fetch
	Tell    func(Status, error)                                 // is told what becomes of each checkpoint, from one goroutine at a time
	Timeout time.Duration                                       // of one checkpoint; 0 is 1 h
}

// Mirror keeps the newest checkpoints of a run pinned at a service, in the background: the run does not wait for it, and
// goes on without it. Its methods may be called from any goroutine.
type Mirror struct {
	c *Client
	o MirrorOptions

	mu   sync.Mutex
	stop context.CancelFunc // of the newest task
	done chan struct{}      // closed when the newest task is over, and with it all before
}

// NewMirror mirrors to the service of a client.
func NewMirror(c *Client, o MirrorOptions) *Mirror {
	if o.Tell == nil {
		o.Tell = func(Status, error) {}
	}
	done := make(chan struct{})
	close(done)
	return &Mirror{c: c, o: o, stop: func() {}, done: done}
}

// Publish has the service keep a checkpoint, and take old ones off once it has it. It returns at once. A checkpoint that is
// still on its way gives up its place to a newer one: name it among the old ones sooner or later.
func (m *Mirror) Publish(p Pin, old ...Pin) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stop()
	ctx, stop := context.WithTimeout(context.Background(), cmp.Or(m.o.Timeout, time.Hour))
	before, done := m.done, make(chan struct{})
	m.stop, m.done = stop, done
	go func() {
		defer close(done)
		defer stop()
		<-before
		s, err := m.publish(ctx, p, old)
		if !errors.Is(ctx.Err(), context.Canceled) {
			m.o.Tell(s, err)
		}
	}()
}

// publish pins the new one before it takes the old ones off.
func (m *Mirror) publish(ctx context.Context, p Pin, old []Pin) (Status, error) {
	if m.o.Origins != nil {
		p.Origins = m.o.Origins()
		p.Origins = p.Origins[:min(len(p.Origins), maxAddrs)]
	}
	s, err := m.c.Ensure(ctx, p)
	if err != nil {
		return s, err
	}
	if m.o.Meet != nil && len(s.Delegates) > 0 {
		_ = m.o.Meet(ctx, s.Delegates) // they may still find us by the origins
	}
	if s, err = m.c.Wait(ctx, s, func(Status) {}); err != nil {
		return s, err
	}
	for _, o := range old {
		if err := m.c.Forget(ctx, o.CID, o.Name); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Close waits until the newest checkpoint is pinned, or gives it up when ctx is over. Nothing may be published afterwards.
func (m *Mirror) Close(ctx context.Context) error {
	m.mu.Lock()
	stop, done := m.stop, m.done
	m.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		stop()
		<-done
		return ctx.Err()
	}
}
