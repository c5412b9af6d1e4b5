package cpu

import (
	"unsafe"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/blas"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// matrix is op(X) in memory, F32 or BF16: element (i, j) of the stored X is stride·i + j elements behind data.
type matrix struct {
	data   unsafe.Pointer
	stride int
	trans  bool // the operand is the transpose of what is stored
	kind   engine.Type
}

// matrixOf describes op(X) [rows, cols] without padding.
func matrixOf(b engine.Buf, trans bool, rows, cols int) matrix {
	m := matrix{stride: cols, trans: trans, kind: b.Type}
	if trans {
		m.stride = rows
	}
	if b = b.Slice(0, rows*cols); b.Type == engine.BF16 {
		m.data = unsafe.Pointer(unsafe.SliceData(hostmem.BFloat16(b)))
	} else {
		m.data = unsafe.Pointer(unsafe.SliceData(f32(b)))
	}
	return m
}

// at is the part of op(X) that starts at (i, j).
func (m matrix) at(i, j int) matrix {
	if m.trans {
		i, j = j, i
	}
	size := 4
	if m.kind == engine.BF16 {
		size = 2
	}
	m.data = unsafe.Add(m.data, size*(i*m.stride+j))
	return m
}

// clear zeroes the first n elements of the first row.
func (m matrix) clear(n int) {
	if m.kind == engine.BF16 {
		clear(unsafe.Slice(m.half(), n))
		return
	}
	clear(unsafe.Slice(m.wide(), n))
}

// wide and half are the memory of an F32 and of a BF16.
func (m matrix) wide() *float32 { return (*float32)(m.data) }
func (m matrix) half() *uint16  { return (*uint16)(m.data) }

// blas is an F32 as libraries take it.
func (m matrix) blas() blas.Matrix {
	return blas.Matrix{Data: m.wide(), Stride: m.stride, Trans: m.trans}
}

// product is C[m,n] = A·B, or C + A·B. C is never transposed; to a BF16 nothing is added.
type product struct {
	m, n, k    int
	a, b, c    matrix
	accumulate bool
	round      bool   // A and B are read as bfloat16, whatever their types
	ready      strips // B, packed before
}

// part is rows [i, i+m) and columns [j, j+n) of the product.
func (p product) part(i, j, m, n int) product {
	p.m, p.n = m, n
	p.a, p.b, p.c = p.a.at(i, 0), p.b.at(0, j), p.c.at(i, j)
	return p
}

// multiplier is a way to compute products on the engine's workers.
type multiplier interface {
	multiply(e *Engine, p product)
	// packs tells whether B will be packed to strips. It does not depend on A's rows.
	packs(e *Engine, p product) bool
}

// multiplierOf is the library, or our own product where there is none.
func multiplierOf(m blas.Multiplier) multiplier {
	if m == nil {
		return packed{}
	}
	return library{m}
}

// MatMul: see engine.Engine.
func (e *Engine) MatMul(c, a, b engine.Buf, transA, transB bool, m, n, k int, accumulate bool) {
	e.multiply(product{m: m, n: n, k: k, a: matrixOf(a, transA, m, k), b: matrixOf(b, transB, k, n), c: matrixOf(c, false, m, n), accumulate: accumulate})
}

func (e *Engine) multiply(p product) {
	if p.k > 0 && p.m > 0 && p.n > 0 {
		e.mul.multiply(e, p)
		return
	}
	for i := 0; i < p.m && p.n > 0 && !p.accumulate; i++ {
		p.c.at(i, 0).clear(p.n)
	}
}

// copied is the stored matrix as F32 with rows ld elements apart in to, rounded if the product says so.
func (e *Engine) copied(w *worker, p product, x matrix, rows, cols int, to []float32, ld int) {
	if x.kind == engine.BF16 {
		e.k.Widen(&to[0], ld, x.half(), x.stride, rows, cols)
		return
	}
	e.k.CopyRows(&to[0], ld, x.wide(), x.stride, rows, cols)
	if p.round {
		e.round(w, to[:(rows-1)*ld+cols])
	}
}

// round rounds x to bfloat16, in place.
func (e *Engine) round(w *worker, x []float32) {
	halves := &w.halves
	for len(x) > 0 {
		n := min(len(x), len(halves))
		e.k.Narrow(&halves[0], n, &x[0], n, 1, n)
		e.k.Widen(&x[0], n, &halves[0], n, 1, n)
		x = x[n:]
	}
}

// pointerTo is where x starts, and element the place j elements of F32 behind p.
func pointerTo(x []float32) unsafe.Pointer     { return unsafe.Pointer(unsafe.SliceData(x)) }
func element(p unsafe.Pointer, j int) *float32 { return (*float32)(unsafe.Add(p, 4*j)) }

func ceil(n, size int) int { return (n + size - 1) / size }
