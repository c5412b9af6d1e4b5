package blas

import (
	"runtime/debug"
	"unsafe"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// gonumLibrary is always there.
func gonumLibrary() Library {
	return Library{
		Name: "gonum", Title: "gonum", Path: "built in", Version: moduleVersion("gonum.org/v1/gonum"), Found: true,
		open: func() (Multiplier, error) { return pure{}, nil },
	}
}

type pure struct{ impl gonum.Implementation }

func (p pure) Sgemm(m, n, k int, a, b Matrix, beta float32, c Matrix) {
	rowsA, rowsB := m, k
	if a.Trans {
		rowsA = k
	}
	if b.Trans {
		rowsB = n
	}
	p.impl.Sgemm(trans(a), trans(b), m, n, k, 1, stored(a, rowsA, m+k-rowsA), a.Stride,
		stored(b, rowsB, k+n-rowsB), b.Stride, beta, stored(c, m, n), c.Stride)
}

func trans(m Matrix) blas.Transpose {
	if m.Trans {
		return blas.Trans
	}
	return blas.NoTrans
}

// stored is the memory of a matrix as it lies there: the last row ends at its last column.
func stored(m Matrix, rows, cols int) []float32 {
	return unsafe.Slice(m.Data, (rows-1)*m.Stride+cols)
}

func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, d := range info.Deps {
		if d.Path == path {
			return d.Version
		}
	}
	return ""
}
