package cpu

import (
	"github.com/skein-train/skein/trainer/engine/cpu/blas"
	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
)

// packed multiplies with our own tiles (Goto & van de Geijn 2008). The right factor is copied panel by panel, so that a
// tile finds its strip side by side; the left one is read where it lies, which libraries do not dare to: their callers may
// have any shape, ours have many more rows than the tiles' registers and rows that seldom collide in the cache.
//
// How the work is cut depends on the shapes and the family of kernels only, and every element of C is summed in order of k.
type packed struct{}

// panel is the most elements of the right factor that are packed at once: half of a second-level cache of 1 MiB.
const panel = 1 << 17

// multiply computes C = A·B, or C + A·B.
func (packed) multiply(e *Engine, p product, accumulate bool) {
	width := e.k.Tiles.Cols
	depth := even(p.k, deepest(p.a))
	cols := min(p.n, max(1, panel/depth/width)*width)
	for j := 0; j < p.n; j += cols {
		for l := 0; l < p.k; l += depth {
			n, k := min(cols, p.n-j), min(depth, p.k-l)
			part := product{p.m, n, k, at(p.a, 0, l), at(p.b, l, j), at(p.c, 0, j)}
			e.multiplyPanel(part, accumulate || l > 0)
		}
	}
}

// deepest is how many terms are summed before C is stored: the more the better until strips and blocks outgrow the
// second-level cache. The block of a transposed left factor is a copy and shares it.
func deepest(a blas.Matrix) int {
	if a.Trans {
		return 256
	}
	return 384
}

// even is the size of n cut into the fewest pieces that are at most as large as most, all alike.
func even(n, most int) int { return ceil(n, ceil(n, most)) }

// multiplyPanel packs all of B and takes C block of rows by block of rows.
func (e *Engine) multiplyPanel(p product, accumulate bool) {
	t := e.k.Tiles
	strip := p.k * t.Cols
	packed := e.panel.take(ceil(p.n, t.Cols) * strip)[0]
	e.team.each(ceil(p.n, t.Cols), func(_, s int) {
		e.pack(packed[s*strip:], at(p.b, 0, s*t.Cols), p.k, min(t.Cols, p.n-s*t.Cols))
	})
	rows := blockRows(p.m, p.n, t.Heights[0].Rows)
	e.team.each(ceil(p.m, rows), func(worker, task int) {
		i := task * rows
		m := min(rows, p.m-i)
		a, c := e.left(worker, at(p.a, i, 0), m, p.k), at(p.c, i, 0)
		for s := range ceil(p.n, t.Cols) {
			j := s * t.Cols
			t.Product(m, min(t.Cols, p.n-j), p.k, a, &packed[s*strip], t.Cols, at(c, 0, j).Data, c.Stride, accumulate)
		}
	})
}

// pack copies op(B) [k, cols] to rows of a tile's width.
func (e *Engine) pack(strip []float32, b blas.Matrix, k, cols int) {
	width := e.k.Tiles.Cols
	if b.Trans {
		e.k.Transpose(&strip[0], width, b.Data, b.Stride, cols, k)
		return
	}
	e.k.CopyRows(&strip[0], width, b.Data, b.Stride, k, cols)
}

// blockRows is how many rows of C one task makes: the block should stay in the cache while strip after strip is added to
// its right, strips should serve several tiles, and a few cores should get equal shares.
func blockRows(m, n, tile int) int {
	const elements, least, most, tasks = 16 << 10, 2, 10, 4
	tiles := min(most, max(least, elements/n/tile))
	return min(tiles, max(1, ceil(ceil(m, tasks), tile))) * tile
}

// far is a distance of rows, in elements, at which a tile's rows lie in two of the first-level cache's sets or in one.
const far = 512

// left is op(A) [m, k] as the tiles read it. Its rows are read in place, unless they would collide in the first-level
// cache; of a transposed one the tiles want a few elements here and there, so its block is copied together.
func (e *Engine) left(worker int, a blas.Matrix, m, k int) kernels.Operand {
	switch {
	case a.Trans:
		ld := oddLines(m)
		return kernels.Operand{Data: e.copied(worker, a, k, m, ld), Row: 1, Col: ld}
	case a.Stride%far == 0:
		ld := oddLines(k)
		return kernels.Operand{Data: e.copied(worker, a, m, k, ld), Row: ld, Col: 1}
	}
	return kernels.Operand{Data: a.Data, Row: a.Stride, Col: 1}
}

// copied is the stored matrix with rows ld elements apart, in the worker's scratch memory.
func (e *Engine) copied(worker int, a blas.Matrix, rows, cols, ld int) *float32 {
	x := &e.scratch[worker].take(rows * ld)[0][0]
	e.k.CopyRows(x, ld, a.Data, a.Stride, rows, cols)
	return x
}
