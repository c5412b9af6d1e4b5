package driver

import "unsafe"

// Graph is work that was captured from a stream, ready to be queued again as a whole.
type Graph struct {
	context *Context
	handle  uintptr
}

// Capture runs f, which queues work on s: that is recorded in place of being done. Nothing in f may wait for the device.
func (s *Stream) Capture(f func() error) (*Graph, error) {
	if err := s.context.call(cuStreamBeginCapture, s.handle, relaxed); err != nil {
		return nil, err
	}
	failed := f()
	var recorded, exec uintptr
	err := s.context.call(cuStreamEndCapture, s.handle, uintptr(unsafe.Pointer(&recorded)))
	if recorded != 0 {
		defer s.context.call(cuGraphDestroy, recorded) // nothing depends on it once it is instantiated
	}
	if failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, err
	}
	if err := s.context.call(cuGraphInstantiate, uintptr(unsafe.Pointer(&exec)), recorded, 0); err != nil {
		return nil, err
	}
	return &Graph{s.context, exec}, nil
}

// Launch queues the recorded work.
func (g *Graph) Launch(s *Stream) error { return g.context.call(cuGraphLaunch, g.handle, s.handle) }

// Close drops the graph.
func (g *Graph) Close() error { return g.context.call(cuGraphExecDestroy, g.handle) }
