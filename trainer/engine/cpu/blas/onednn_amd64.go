//go:build linux || darwin

package blas

import (
	"sync"

	"github.com/ebitengine/purego"
)

// newOnednn calls through a trampoline: SyscallN passes words only, and dnnl_sgemm takes two floats by value.
func newOnednn(sgemm uintptr) Multiplier { return onednn{sgemm} }

type onednn struct{ sgemm uintptr }

// onednnArgs is read by the trampoline in onednn_amd64.s.
type onednnArgs struct {
	fn             uintptr
	transA, transB uintptr
	m, n, k        uintptr
	a, lda, b, ldb uintptr
	c, ldc         uintptr
	alpha, beta    float32
}

var onednnPool = sync.Pool{New: func() any { return new(onednnArgs) }}

func (o onednn) Sgemm(m, n, k int, a, b Matrix, beta float32, c Matrix) {
	x := onednnPool.Get().(*onednnArgs)
	*x = onednnArgs{fn: o.sgemm, transA: uintptr(letter(a)), transB: uintptr(letter(b)), m: uintptr(m), n: uintptr(n), k: uintptr(k),
		a: addr(a.Data), lda: uintptr(a.Stride), b: addr(b.Data), ldb: uintptr(b.Stride), c: addr(c.Data), ldc: uintptr(c.Stride),
		alpha: 1, beta: beta}
	purego.SyscallN(onednnTrampoline, addr(x))
	onednnPool.Put(x)
}

// onednnTrampoline is the address of a C function that takes one *onednnArgs.
var onednnTrampoline uintptr
