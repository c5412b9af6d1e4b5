package blas

import (
	"sync"
	"unsafe"

	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
)

// builtinLibrary multiplies with our own assembly: what a machine gets that has wide registers and no library.
func builtinLibrary() Library {
	l := Library{Name: "builtin", Title: "built-in assembly", Path: "part of this program"}
	sets := kernels.Available()
	if len(sets) == 1 {
		l.Note = "no assembly for this processor"
		return l
	}
	l.Found = true
	l.open = func() (Multiplier, error) { return builtin{&sets[0]}, nil }
	return l
}

// strip is how many rows of B are gathered at once: with the 32 columns of a tile 24 KiB, which leaves some of the
// first-level cache to A and C.
const strip = 192

type builtin struct{ k *kernels.Set }

var stripPool = sync.Pool{New: func() any { return new([strip * 32]float32) }}

// Sgemm goes over B in strips as wide as a tile. A strip is copied side by side, and all of A's rows meet it (Goto &
// van de Geijn 2008, without the packing of A: its rows are read in place).
func (x builtin) Sgemm(m, n, k int, a, b Matrix, beta float32, c Matrix) {
	t := x.k.Tiles
	packed := stripPool.Get().(*[strip * 32]float32)
	left := kernels.Operand{Data: a.Data, Row: a.Stride, Col: 1}
	if a.Trans {
		left.Row, left.Col = 1, a.Stride
	}
	for p := 0; p < max(k, 1); p += strip {
		depth, accumulate := min(strip, k-p), beta != 0 || p > 0
		for j := 0; j < n; j += t.Cols {
			cols := min(t.Cols, n-j)
			x.pack(packed[:], b, p, j, depth, cols)
			part := left
			part.Data = behind(left.Data, p*left.Col)
			t.Product(m, cols, depth, part, &packed[0], t.Cols, behind(c.Data, j), c.Stride, accumulate)
		}
	}
	stripPool.Put(packed)
}

// pack copies B[p:p+depth, j:j+cols] to rows of t.Cols elements.
func (x builtin) pack(packed []float32, b Matrix, p, j, depth, cols int) {
	width := x.k.Tiles.Cols
	if b.Trans {
		x.k.Transpose(&packed[0], width, behind(b.Data, j*b.Stride+p), b.Stride, cols, depth)
		return
	}
	for i := range depth {
		copy(packed[i*width:][:cols], unsafe.Slice(behind(b.Data, (p+i)*b.Stride+j), cols))
	}
}

func behind(p *float32, elements int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(p), 4*elements))
}
