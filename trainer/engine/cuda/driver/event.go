package driver

import (
	"time"
	"unsafe"
)

// Event is a mark in a stream: to wait for, or to tell the time at which the device came to it.
type Event struct {
	context *Context
	handle  uintptr
}

// NewEvent makes an event that was not recorded yet: to wait for it is not to wait.
func (c *Context) NewEvent() (*Event, error) {
	var h uintptr
	if err := c.call(cuEventCreate, uintptr(unsafe.Pointer(&h)), 0); err != nil {
		return nil, err
	}
	return &Event{c, h}, nil
}

// Record moves the mark behind what s has queued so far.
func (e *Event) Record(s *Stream) error { return e.context.call(cuEventRecord, e.handle, s.handle) }

// Wait returns when the device has come to the mark.
func (e *Event) Wait() error { return e.context.call(cuEventSynchronize, e.handle) }

// Since is the time from another event to this one on the device, which has come to both.
func (e *Event) Since(from *Event) (time.Duration, error) {
	var ms float32
	err := e.context.call(cuEventElapsedTime, uintptr(unsafe.Pointer(&ms)), from.handle, e.handle)
	return time.Duration(float64(ms) * float64(time.Millisecond)), err
}

// Close drops the event.
func (e *Event) Close() error { return e.context.call(cuEventDestroy, e.handle) }
