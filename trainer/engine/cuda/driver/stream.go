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

// Number is what elements that are copied are made of.
type Number interface {
	~uint8 | ~uint16 | ~int32 | ~uint32 | ~float32 | ~float64 | ~uint64
}

// Upload queues a copy of src to device memory. src is read before it returns: the driver copies ordinary memory aside first.
func Upload[T Number](s *Stream, to uintptr, src []T) error {
	if len(src) == 0 {
		return nil
	}
	return s.context.call(cuMemcpyHtoDAsync, to, uintptr(unsafe.Pointer(&src[0])), uintptr(len(src))*unsafe.Sizeof(src[0]), s.handle)
}

// Download copies device memory to dst, after all queued work.
func Download[T Number](s *Stream, dst []T, from uintptr) error {
	if len(dst) == 0 {
		return s.Wait()
	}
	if err := s.context.call(cuMemcpyDtoHAsync, uintptr(unsafe.Pointer(&dst[0])), from, uintptr(len(dst))*unsafe.Sizeof(dst[0]), s.handle); err != nil {
		return err
	}
	return s.Wait()
}

// UploadPinned and DownloadPinned queue copies between pinned memory, from byte at on, and the device. The host must leave
// the memory alone until the stream has come to it. A captured copy reads what is there at each replay.
func (s *Stream) UploadPinned(to uintptr, p Pinned, at, bytes int) error {
	return s.context.call(cuMemcpyHtoDAsync, to, p.Address+uintptr(at), uintptr(bytes), s.handle)
}

// DownloadPinned is the other way; see UploadPinned.
func (s *Stream) DownloadPinned(p Pinned, at int, from uintptr, bytes int) error {
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
