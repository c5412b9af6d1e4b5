package cuda

import (
	"errors"
	"unsafe"

	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// pages are pinned host memory that everything between host and device goes through: the driver would copy other memory aside by
// itself, and may wait for the device before it does. The host fills one page while the device reads the other, so an upload
// returns as soon as its source was read, unless it is far ahead of the device.
type pages struct {
	all [2]page
	now int // the one that uploads go to
}

type page struct {
	memory driver.Pinned
	used   int           // bytes
	passed *driver.Event // the device is done with it
}

// pageBytes is large enough for a copy to take much longer than to queue it.
const pageBytes = 4 << 20

var errCapturedCopy = errors.New("a copy from or to the host cannot be taken down")

func (p *pages) open(c *driver.Context) (err error) {
	for i := range p.all {
		if p.all[i].memory, err = c.AllocPinned(pageBytes); err != nil {
			return err
		}
		if p.all[i].passed, err = c.NewEvent(); err != nil {
			return err
		}
	}
	return nil
}

func (p *pages) close(c *driver.Context) error {
	var errs []error
	for _, g := range p.all {
		if g.passed != nil {
			errs = append(errs, g.passed.Close())
		}
		if g.memory.Len > 0 {
			errs = append(errs, c.FreePinned(g.memory))
		}
	}
	return errors.Join(errs...)
}

// turn goes on to the next page, which the device must be done with.
func (p *pages) turn(s *driver.Stream) error {
	if err := p.all[p.now].passed.Record(s); err != nil {
		return err
	}
	p.now = 1 - p.now
	p.all[p.now].used = 0
	return p.all[p.now].passed.Wait()
}

// up queues a copy of src to the device.
func (p *pages) up(s *driver.Stream, to uintptr, src []byte) error {
	const line = 64 // copies start at multiples of it
	for len(src) > 0 {
		if p.all[p.now].used+line > pageBytes {
			if err := p.turn(s); err != nil {
				return err
			}
		}
		g := &p.all[p.now]
		n := copy(g.memory.Bytes()[g.used:], src)
		if err := s.Upload(to, g.memory, g.used, n); err != nil {
			return err
		}
		g.used += (n + line - 1) / line * line
		to, src = to+uintptr(n), src[n:]
	}
	return nil
}

// down copies from the device to dst when all work queued before is done: one page is read while the device fills the other.
// That may take over pages of uploads, which it comes to first.
func (p *pages) down(s *driver.Stream, dst []byte, from uintptr) error {
	queue := func(at, n int) error { // page by page
		g := p.all[at/pageBytes%2]
		if err := s.Download(g.memory, 0, from+uintptr(at), n); err != nil {
			return err
		}
		return g.passed.Record(s)
	}
	size := func(at int) int { return min(pageBytes, len(dst)-at) }
	if err := queue(0, size(0)); err != nil {
		return err
	}
	for at := 0; at < len(dst); at += pageBytes {
		if next := at + pageBytes; next < len(dst) {
			if err := queue(next, size(next)); err != nil {
				return err
			}
		}
		g := p.all[at/pageBytes%2]
		if err := g.passed.Wait(); err != nil {
			return err
		}
		copy(dst[at:], g.memory.Bytes()[:size(at)])
	}
	p.all[0].used, p.all[1].used = 0, 0
	return nil
}

// number is what elements that are copied are made of.
type number interface {
	int32 | uint16 | uint64 | float32 | float64
}

func bytesIn[T number](x []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), uintptr(len(x))*unsafe.Sizeof(*new(T)))
}

// upload queues a copy of src to device memory; src is read before it returns.
func upload[T number](e *Engine, to uintptr, src []T) {
	if e.mayCopy() && len(src) > 0 {
		e.fail(e.pages.up(e.stream, to, bytesIn(src)))
	}
}

// download copies device memory to dst when all work queued before is done. It says whether it did.
func download[T number](e *Engine, dst []T, from uintptr) bool {
	switch {
	case !e.mayCopy():
	case len(dst) == 0:
		e.Wait()
	default:
		e.fail(e.pages.down(e.stream, bytesIn(dst), from))
		e.clock.read(e)
	}
	return e.err == nil
}

func (e *Engine) mayCopy() bool {
	if e.recording {
		e.fail(errCapturedCopy)
	}
	return e.err == nil
}
