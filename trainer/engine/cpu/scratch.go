package cpu

import (
	"unsafe"

	"github.com/skein-train/skein/trainer/engine"
)

// scratch is memory for use within one call. It grows to the largest call and stays, so that a step like the last one
// allocates nothing.
type scratch struct{ block []float32 }

// pieces are up to sixteen parts of a scratch: an array, so that handing them out allocates nothing.
type pieces [16][]float32

// take returns pieces of the given lengths, each aligned to 64 bytes, holding anything.
func (s *scratch) take(lengths ...int) (p pieces) {
	const lane = 16 // elements in 64 bytes
	total := lane
	for _, n := range lengths {
		total += ceil(n, lane) * lane
	}
	s.grow(total)
	at := int(-(uintptr(unsafe.Pointer(unsafe.SliceData(s.block))) / 4) % lane)
	for i, n := range lengths {
		p[i] = s.block[at : at+n : at+n]
		at += ceil(n, lane) * lane
	}
	return p
}

func (s *scratch) grow(n int) {
	if len(s.block) < n {
		s.block = make([]float32, n)
	}
}

// words is the scratch memory's first n elements of type t as a Buf; take invalidates it.
func (s *scratch) words(n int, t engine.Type) engine.Buf {
	x := s.take(t.Words(n))[0]
	return engine.Buf{Addr: uintptr(pointerTo(x)), Len: len(x)}.At(0, n, t)
}
