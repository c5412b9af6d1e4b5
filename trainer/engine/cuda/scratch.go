package cuda

import (
	"fmt"

	"github.com/skein-train/skein/trainer/engine"
)

// slot is device memory for use within one call. It grows to the largest call and stays, so that a step like the last
// one allocates nothing. What it had before stays, too: captured work may still refer to it; hence Reserve.
type slot struct {
	addr  uintptr
	bytes int64
}

// slots are what the calls of an engine need.
type slots struct {
	left, right, weight, parts slot // products
	workspace                  slot // products by cuBLASLt
	q, k, v, dy, mean          slot // attention
	logits, losses             slot // the head
	sums                       slot // see scratch
}

// room is memory of that many bytes, holding anything. It is null after a failure.
func (e *Engine) room(s *slot, bytes int64) uintptr {
	if e.err != nil {
		return 0
	}
	if bytes > s.bytes {
		p, err := e.arena.take(bytes)
		if err != nil {
			e.fail(fmt.Errorf("%d MiB of memory to work in: %w", bytes>>20, err))
			return 0
		}
		s.addr, s.bytes = p, bytes
	}
	return s.addr
}

// buf is n elements of type t in a slot.
func (e *Engine) buf(s *slot, n int, t engine.Type) engine.Buf {
	b := engine.Buf{Len: n, Type: t}
	b.Addr = e.room(s, bytesOf(b))
	return b
}

// scratch is n elements of F32 that one call of a row kernel uses: the next gets the same.
func (e *Engine) scratch(n int) engine.Buf { return e.buf(&e.slots.sums, n, engine.F32) }
