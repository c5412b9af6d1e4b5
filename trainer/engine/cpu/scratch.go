package cpu

import (
	"unsafe"

	"github.com/skein-train/skein/trainer/engine"
)

// scratch is memory that one worker uses within one call. It grows to the largest call and stays, so that a step
// like the last one allocates nothing.
type scratch struct{ block []float32 }

// take returns pieces of the given lengths, each aligned to 64 bytes, holding anything.
func (s *scratch) take(lengths ...int) [][]float32 {
	const lane = 16 // elements in 64 bytes
	total := lane
	for _, n := range lengths {
		total += (n + lane - 1) / lane * lane
	}
	if len(s.block) < total {
		s.block = make([]float32, total)
	}
	at := int(-(uintptr(unsafe.Pointer(unsafe.SliceData(s.block))) / 4) % lane)
	pieces := make([][]float32, len(lengths))
	for i, n := range lengths {
		pieces[i] = s.block[at : at+n : at+n]
		at += (n + lane - 1) / lane * lane
	}
	return pieces
}

// words is the scratch memory's first n elements as a Buf; take invalidates it.
func (s *scratch) words(n int) engine.Buf {
	x := s.take(n)[0]
	return engine.Buf{Addr: uintptr(unsafe.Pointer(unsafe.SliceData(x))), Len: n}
}
