package cpu

import (
	"unsafe"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/blas"
)

// Add: z = x + y.
func (e *Engine) Add(z, x, y engine.Buf) {
	zs, xs, ys := f32(z), f32(x)[:z.Len], f32(y)[:z.Len]
	e.team.spans(z.Len, 1, func(lo, hi int) { e.k.Add(zs[lo:hi], xs[lo:hi], ys[lo:hi]) })
}

// side × side elements of C are one task: large enough that a library reaches its speed in it, small enough that a few
// cores get equal shares. Where that leaves too few tasks they are smaller.
func side(m, n int) int {
	const large, small, enough = 512, 256, 4
	if ceil(m, large)*ceil(n, large) < enough {
		return small
	}
	return large
}

// MatMul cuts C into fixed blocks.
func (e *Engine) MatMul(c, a, b engine.Buf, transA, transB bool, m, n, k int, accumulate bool) {
	if m == 0 || n == 0 {
		return
	}
	beta := float32(0)
	if accumulate {
		beta = 1
	}
	am, bm, cm := matrix(f32(a)[:m*k], transA, m, k), matrix(f32(b)[:k*n], transB, k, n), matrix(f32(c)[:m*n], false, m, n)
	block := side(m, n)
	across := ceil(n, block)
	e.team.each(ceil(m, block)*across, func(worker, task int) {
		i, j := task/across*block, task%across*block
		rows, cols := min(block, m-i), min(block, n-j)
		part := product{rows, cols, k, at(am, i, 0), at(bm, 0, j), at(cm, i, j)}
		if transA && m >= wide {
			e.multiplyTurned(worker, part, beta)
			return
		}
		e.mul.Sgemm(part.m, part.n, part.k, part.a, part.b, beta, part.c)
	})
}

// product is C[m,n] = A·B.
type product struct {
	m, n, k int
	a, b, c blas.Matrix
}

// wide is the number of elements from row to row from which on a transposed left factor is transposed here, piece by
// piece, before the library sees it. Libraries read it against the grain, and when rows lie far apart that costs them
// up to half their speed. The gradients of weights are of this kind.
const wide = 512

func (e *Engine) multiplyTurned(worker int, p product, beta float32) {
	const depth = 256
	ld := oddLines(depth)
	piece := blas.Matrix{Data: &e.scratch[worker].take(p.m * ld)[0][0], Stride: ld}
	for from := 0; from < p.k; from += depth {
		part := min(depth, p.k-from)
		e.k.Transpose(piece.Data, ld, at(p.a, 0, from).Data, p.a.Stride, part, p.m)
		e.mul.Sgemm(p.m, p.n, part, piece, at(p.b, from, 0), beta, p.c)
		beta = 1
	}
}

// matrix describes op(X) [rows, cols] without padding.
func matrix(x []float32, trans bool, rows, cols int) blas.Matrix {
	if trans {
		return blas.Matrix{Data: unsafe.SliceData(x), Stride: rows, Trans: true}
	}
	return blas.Matrix{Data: unsafe.SliceData(x), Stride: cols}
}

// at is the part of op(X) that starts at (i, j).
func at(x blas.Matrix, i, j int) blas.Matrix {
	if x.Trans {
		i, j = j, i
	}
	x.Data = (*float32)(unsafe.Add(unsafe.Pointer(x.Data), 4*(i*x.Stride+j)))
	return x
}

// Embed copies rows of the table.
func (e *Engine) Embed(y, table, ids engine.Buf, n, d int) {
	ys, ts, is := f32(y), f32(table), i32(ids)
	e.team.spans(n, d, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			id := int(is[i])
			copy(ys[i*d:i*d+d], ts[id*d:id*d+d])
		}
	})
}

// EmbedGrad shares the columns out, not the rows, so that each row of the table is added to in the order of i.
func (e *Engine) EmbedGrad(dtable, dy, ids engine.Buf, n, d int) {
	const cols = 64
	ts, gs, is := f32(dtable), f32(dy), i32(ids)
	e.team.each(ceil(d, cols), func(_, task int) {
		lo, hi := task*cols, min(d, (task+1)*cols)
		for i, id := range is[:n] {
			row := ts[int(id)*d+lo : int(id)*d+hi]
			e.k.Add(row, row, gs[i*d+lo:i*d+hi])
		}
	})
}

func ceil(n, size int) int { return (n + size - 1) / size }
