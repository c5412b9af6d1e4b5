//go:build (linux || darwin) && !amd64

package blas

import (
	"unsafe"

	"github.com/ebitengine/purego"
)

// newOnednn calls through reflection, which costs about a microsecond and some garbage a call.
func newOnednn(sgemm uintptr) Multiplier {
	var o onednn
	purego.RegisterFunc(&o.sgemm, sgemm)
	return o
}

type onednn struct {
	sgemm func(transA, transB byte, m, n, k int64, alpha float32, a unsafe.Pointer, lda int64,
		b unsafe.Pointer, ldb int64, beta float32, c unsafe.Pointer, ldc int64) int32
}

func (o onednn) Sgemm(m, n, k int, a, b Matrix, beta float32, c Matrix) {
	o.sgemm(letter(a), letter(b), int64(m), int64(n), int64(k), 1, unsafe.Pointer(a.Data), int64(a.Stride),
		unsafe.Pointer(b.Data), int64(b.Stride), beta, unsafe.Pointer(c.Data), int64(c.Stride))
}
