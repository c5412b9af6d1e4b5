package blas

import "unsafe"

// Product is the shape of C[M,N] = A·B or C + A·B over bfloat16 A and B in memory. Strides are elements from row to row of
// what is stored; rows of C are StrideC apart.
type Product struct {
	M, N, K          int
	StrideA, StrideB int
	TransA, TransB   bool
	StrideC          int
	WideC            bool // C is float32, else bfloat16
	Accumulate       bool // C is added to; needs WideC
	Packed           bool // B is what Pack made
}

// Half multiplies bfloat16 matrices with a library, summing in float32. It compiles each shape once and keeps it. A Half
// is used by one goroutine at a time; what one has packed all may read.
type Half interface {
	// Scratch is the bytes of scratch memory that Multiply needs for p.
	Scratch(p Product) int
	Multiply(p Product, a, b, c, scratch unsafe.Pointer)
	// PackedLen is the bytes of a packed B [K,N].
	PackedLen(n, k int) int
	// Pack converts a float32 B, stride elements from row to row of what is stored, and packs it to to.
	Pack(to unsafe.Pointer, b Matrix, n, k int)
}

// HalfUnit names the processor's unit for products of bfloat16 that a library here would use, or says why there is none.
func HalfUnit() (unit, none string) { return halfUnit() }

// aligned is the first address in x that is a multiple of 64; x has room to spare.
func aligned(x []float32) unsafe.Pointer {
	p := unsafe.Pointer(unsafe.SliceData(x))
	return unsafe.Add(p, -uintptr(p)&63)
}
