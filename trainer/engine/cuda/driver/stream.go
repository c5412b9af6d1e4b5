package driver

import "unsafe"

// Stream is a queue of work on the device, done in order.
type Stream struct {
	context *Context
	handle  uintptr
}

const (
	nonBlocking = 1 // CU_STREAM_NON_BLOCKING: the default stream, which others use, is not waited for
	relaxed     = 2 // CU_STREAM_CAPTURE_MODE_RELAXED: goroutines change threads during a capture
)

// NewStream makes a stream.
func (c *Context) NewStream() (*Stream, error) {
	var h uintptr
	if err := c.call(cuStreamCreate, uintptr(unsafe.Pointer(&h)), nonBlocking); err != nil {
		return nil, err
	}
	return &Stream{c, h}, nil
}

// Handle is the driver's own name of the stream, for a library that queues work by itself.
func (s *Stream) Handle() uintptr { return s.handle }

// Close drops the stream; queued work is still done.
func (s *Stream) Close() error { return s.context.call(cuStreamDestroy, s.handle) }

// Wait returns when all work queued so far is done. It tells the errors of that work.
func (s *Stream) Wait() error { return s.context.call(cuStreamSynchronize, s.handle) }

// Upload and Download queue copies between pinned memory, from byte at on, and the device. The host must leave the memory
// alone until the stream has come to it.
func (s *Stream) Upload(to uintptr, p Pinned, at, bytes int) error {
	return s.context.call(cuMemcpyHtoDAsync, to, p.Address+uintptr(at), uintptr(bytes), s.handle)
}

// Download is the other way; see Upload.
func (s *Stream) Download(p Pinned, at int, from uintptr, bytes int) error {
	return s.context.call(cuMemcpyDtoHAsync, p.Address+uintptr(at), from, uintptr(bytes), s.handle)
}

// Copy queues a copy within the device; the ranges must be apart.
func (s *Stream) Copy(to, from uintptr, bytes int64) error {
	return s.context.call(cuMemcpyDtoDAsync, to, from, uintptr(bytes), s.handle)
}

// Fill queues setting bytes to a value.
func (s *Stream) Fill(to uintptr, value byte, bytes int64) error {
	return s.context.call(cuMemsetD8Async, to, uintptr(value), uintptr(bytes), s.handle)
}
