package cuda

import (
	"errors"
	"fmt"
	"math"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// arena is the device memory of one engine. It only grows: nothing is given back before the engine closes.
type arena struct {
	context *driver.Context
	blocks  []uintptr // as the driver gave them
	next    uintptr   // what is left of the last small one
	left    int64     // bytes
}

const (
	line  = 256     // bytes that addresses are aligned to
	small = 2 << 20 // bytes of a block that several buffers share: what the driver hands out at least
)

// take returns memory of that many bytes; what it holds is not defined.
func (a *arena) take(bytes int64) (uintptr, error) {
	bytes = lines(bytes)
	if bytes > a.left {
		p, err := a.context.Alloc(max(bytes, small))
		if err != nil {
			return 0, err
		}
		a.blocks = append(a.blocks, p)
		if bytes >= small {
			return p, nil
		}
		a.next, a.left = p, small
	}
	p := a.next
	a.next += uintptr(bytes)
	a.left -= bytes
	return p, nil
}

// free gives everything back.
func (a *arena) free() error {
	var errs []error
	for _, p := range a.blocks {
		errs = append(errs, a.context.Free(p))
	}
	*a = arena{context: a.context}
	return errors.Join(errs...)
}

// Alloc returns zeroed memory. Where there is none the engine has failed; see Err.
func (e *Engine) Alloc(n int) engine.Buf {
	const limit = 1 << 40 / 4 // elements; a typing mistake should not look like an out-of-memory machine
	if n < 0 || n > limit {
		panic(fmt.Sprintf("engine: cannot allocate %d elements", n))
	}
	b := engine.Buf{Len: n, Type: engine.F32}
	if n == 0 || e.err != nil {
		return b
	}
	p, err := e.arena.take(4 * int64(n))
	if err != nil {
		free, total, _ := e.context.Memory() // the other error says more
		e.fail(fmt.Errorf("%d MiB of memory, %d of %d MiB are free: %w", (4*int64(n))>>20, free>>20, total>>20, err))
		return b
	}
	b.Addr = p
	e.Zero(b)
	return b
}

// Upload copies src to dst. Lengths must be equal.
func (e *Engine) Upload(dst engine.Buf, src []float32) {
	mustMatch("upload", dst.Len, len(src))
	upload(e, dst.Addr, src)
}

// UploadInt32 copies src to dst. Lengths must be equal.
func (e *Engine) UploadInt32(dst engine.Buf, src []int32) {
	mustMatch("upload", dst.Len, len(src))
	upload(e, dst.Addr, src)
}

// Set copies scalars to dst. Lengths must be equal.
func (e *Engine) Set(dst engine.Buf, src []float64) {
	mustMatch("set", dst.Len, len(src))
	upload(e, dst.Addr, src)
}

// Download copies src to dst when all work queued before is done. After a failure dst is NaN.
func (e *Engine) Download(dst []float32, src engine.Buf) {
	mustMatch("download", len(dst), src.Len)
	if !download(e, dst, src.Addr) {
		for i := range dst {
			dst[i] = float32(math.NaN())
		}
	}
}

// Get is Download for scalars.
func (e *Engine) Get(dst []float64, src engine.Buf) {
	mustMatch("get", len(dst), src.Len)
	if !download(e, dst, src.Addr) {
		for i := range dst {
			dst[i] = math.NaN()
		}
	}
}

// Memory is the GPU's.
func (e *Engine) Memory() (free, total int64) {
	if e.err != nil {
		return 0, 0
	}
	free, total, err := e.context.Memory()
	e.fail(err)
	return free, total
}

// Wait returns when all queued work is done.
func (e *Engine) Wait() {
	if e.err == nil {
		e.fail(e.stream.Wait())
		e.clock.read(e)
	}
}

// Host is nil: the host cannot address the memory.
func (*Engine) Host(engine.Buf) []float32 { return nil }

// Zero clears b.
func (e *Engine) Zero(b engine.Buf) {
	if e.err == nil && b.Len > 0 {
		e.stats.Launches++
		e.fail(e.stream.Fill(b.Addr, 0, bytesOf(b)))
	}
}

func bytesOf(b engine.Buf) int64 {
	if b.Type == engine.BF16 {
		return 2 * int64(b.Len)
	}
	return 4 * int64(b.Type.Words(b.Len))
}

func mustMatch(what string, a, b int) {
	if a != b {
		panic(fmt.Sprintf("engine: %s: lengths differ: %d and %d", what, a, b))
	}
}
