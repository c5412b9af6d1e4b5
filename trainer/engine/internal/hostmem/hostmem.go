// Package hostmem is engine memory that lives in the host's address space: the part that the engines on the CPU share.
package hostmem

import (
	"fmt"
	"unsafe"

	"github.com/skein-train/skein/trainer/engine"
)

const (
	align = 64          // bytes; a cache line and an AVX-512 register
	lane  = align / 4   // elements of 4 bytes in it
	limit = 1 << 40 / 4 // elements; a typing mistake should not look like an out-of-memory machine
)

// Memory owns Go slices and hands out their addresses. Go's collector does not move heap objects, so an address stays
// good for as long as the Memory is reachable; whoever keeps Bufs must keep the Memory too.
type Memory struct {
	blocks [][]float32
}

// Alloc returns zeroed memory for n elements, aligned to 64 bytes.
func (m *Memory) Alloc(n int) engine.Buf {
	if n < 0 || n > limit {
		panic(fmt.Sprintf("engine: cannot allocate %d elements", n))
	}
	block := make([]float32, n+2*lane)
	m.blocks = append(m.blocks, block)
	first := uintptr(unsafe.Pointer(unsafe.SliceData(block)))
	return engine.Buf{Addr: (first + align - 1) &^ (align - 1), Len: n, Type: engine.F32}
}

// Release drops all blocks. Bufs handed out before are dead.
func (m *Memory) Release() { m.blocks = nil }

// Float32 is the memory of b, an F32.
func Float32(b engine.Buf) []float32 {
	mustBe(b, engine.F32)
	return unsafe.Slice((*float32)(pointer(b.Addr)), b.Len)
}

// BFloat16 is the memory of b, a BF16.
func BFloat16(b engine.Buf) []uint16 {
	mustBe(b, engine.BF16)
	return unsafe.Slice((*uint16)(pointer(b.Addr)), b.Len)
}

// Float64 is the memory of b, an F64.
func Float64(b engine.Buf) []float64 {
	mustBe(b, engine.F64)
	return unsafe.Slice((*float64)(pointer(b.Addr)), b.Len)
}

func mustBe(b engine.Buf, t engine.Type) {
	if b.Type != t {
		panic(fmt.Sprintf("engine: a kernel for %v was given %v", t, b.Type))
	}
}

// Int32 is the memory of b, read as int32.
func Int32(b engine.Buf) []int32 { return unsafe.Slice((*int32)(pointer(b.Addr)), b.Len) }

// pointer turns an address that Alloc made back into a pointer. It is sound because the Memory keeps the block alive
// and unmoved; vet cannot know that, hence the detour.
func pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }

// Host is Float32, as a method that completes an Engine.
func (*Memory) Host(b engine.Buf) []float32 { return Float32(b) }

// Compute is F32, as a method that completes an Engine without a smaller type.
func (*Memory) Compute() engine.Type { return engine.F32 }

// Upload copies src to dst. Lengths must be equal.
func (*Memory) Upload(dst engine.Buf, src []float32) {
	mustMatch("upload", dst.Len, len(src))
	copy(Float32(dst), src)
}

// UploadInt32 copies src to dst. Lengths must be equal.
func (*Memory) UploadInt32(dst engine.Buf, src []int32) {
	mustMatch("upload", dst.Len, len(src))
	copy(Int32(dst), src)
}

// Download copies src to dst. Lengths must be equal.
func (*Memory) Download(dst []float32, src engine.Buf) {
	mustMatch("download", len(dst), src.Len)
	copy(dst, Float32(src))
}

// Set copies scalars to dst. Lengths must be equal.
func (*Memory) Set(dst engine.Buf, src []float64) {
	mustMatch("set", dst.Len, len(src))
	copy(Float64(dst), src)
}

// Get copies scalars to dst. Lengths must be equal.
func (*Memory) Get(dst []float64, src engine.Buf) {
	mustMatch("get", len(dst), src.Len)
	copy(dst, Float64(src))
}

// Zero clears b.
func (*Memory) Zero(b engine.Buf) {
	if b.Type == engine.BF16 {
		clear(BFloat16(b))
		return
	}
	clear(Float32(b))
}

// Copy copies src to dst, converting where their types differ. Lengths must be equal.
func (*Memory) Copy(dst, src engine.Buf) {
	mustMatch("copy", dst.Len, src.Len)
	switch {
	case dst.Type == src.Type && dst.Type == engine.BF16:
		copy(BFloat16(dst), BFloat16(src))
	case dst.Type == src.Type:
		copy(Float32(dst), Float32(src))
	case dst.Type == engine.BF16:
		to := BFloat16(dst)
		for i, x := range Float32(src) {
			to[i] = engine.ToBF16(x)
		}
	default:
		to := Float32(dst)
		for i, x := range BFloat16(src) {
			to[i] = engine.FromBF16(x)
		}
	}
}

func mustMatch(what string, a, b int) {
	if a != b {
		panic(fmt.Sprintf("engine: %s: lengths differ: %d and %d", what, a, b))
	}
}
