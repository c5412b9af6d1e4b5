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

// Mix: z = a·x + b·y.
func (e *Engine) Mix(z engine.Buf, a float32, x engine.Buf, b float32, y engine.Buf) {
	zs, xs, ys := f32(z), f32(x)[:z.Len], f32(y)[:z.Len]
	e.team.spans(z.Len, 1, func(lo, hi int) { e.k.Mix(zs[lo:hi], xs[lo:hi], ys[lo:hi], a, b) })
}

// Refresh does nothing: products read the master.
func (e *Engine) Refresh(*engine.Weight, int) {}

// Linear: y = x·wᵀ.
func (e *Engine) Linear(y, x engine.Buf, w *engine.Weight, n int) {
	e.MatMul(y, x, w.Master, false, true, n, w.Out, w.In, false)
}

// LinearBack: dx = dy·w.
func (e *Engine) LinearBack(dx, dy engine.Buf, w *engine.Weight, n int) {
	e.MatMul(dx, dy, w.Master, false, false, n, w.In, w.Out, false)
}

// LinearGrad: dw = dyᵀ·x, or dw + dyᵀ·x.
func (e *Engine) LinearGrad(dw, dy, x engine.Buf, n, out, in int, accumulate bool) {
	e.MatMul(dw, dy, x, true, false, out, in, n, accumulate)
}

// MatMul: see engine.Engine.
func (e *Engine) MatMul(c, a, b engine.Buf, transA, transB bool, m, n, k int, accumulate bool) {
	if m == 0 || n == 0 {
		return
	}
	if k == 0 {
		if !accumulate {
			e.Zero(c.Slice(0, m*n))
		}
		return
	}
	am, bm, cm := matrix(f32(a)[:m*k], transA, m, k), matrix(f32(b)[:k*n], transB, k, n), matrix(f32(c)[:m*n], false, m, n)
	e.mul.multiply(e, product{m, n, k, am, bm, cm}, accumulate)
}

// product is C[m,n] = A·B.
type product struct {
	m, n, k int
	a, b, c blas.Matrix
}

// multiplier is a way to compute C = A·B, or C + A·B, on the engine's workers.
type multiplier interface {
	multiply(e *Engine, p product, accumulate bool)
}

// multiplierOf is the library, or our own product where there is none.
func multiplierOf(m blas.Multiplier) multiplier {
	if m == nil {
		return packed{}
	}
	return library{m}
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
