package cpu

import (
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
)

// packed multiplies with our own tiles (Goto & van de Geijn 2008). The right factor is copied panel by panel, so that a
// tile finds its strip side by side; the left one is read where it lies, which libraries do not dare to: their callers may
// have any shape, ours have many more rows than the tiles' registers and rows that seldom collide in the cache.
//
// How the work is cut depends on the shapes and types and the family of kernels only, and every element of C is summed in
// order of k.
type packed struct{}

// panel is the most elements of the right factor that are worked with at once: half of a second-level cache of 1 MiB.
const panel = 1 << 17

// multiply computes C = A·B, or C + A·B.
func (packed) multiply(e *Engine, p product) {
	depth, cols := e.cut(p)
	for j := 0; j < p.n; j += cols {
		for l := 0; l < p.k; l += depth {
			part := p.part(0, j, p.m, min(cols, p.n-j))
			part.a, part.b, part.k = p.a.at(0, l), p.b.at(l, j), min(depth, p.k-l)
			part.accumulate = p.accumulate || l > 0
			if p.ready.data == nil {
				part.ready = e.panel(part)
			} else {
				part.ready = p.ready.from(j, l)
			}
			e.multiplyPanel(part)
		}
	}
}

func (packed) packs(*Engine, product) bool { return true }

// cut says how deep and how wide panels are. A BF16 holds no partial sums: its panels have all of k, and as many columns
// as make the copies of A worth their while.
func (e *Engine) cut(p product) (depth, cols int) {
	least := 1
	depth = even(p.k, deepest(p.a))
	if p.c.kind == engine.BF16 {
		least, depth = 256, p.k
	}
	width := e.k.Tiles.Cols
	return depth, min(p.n, max(1, max(least, panel/depth)/width)*width)
}

// deepest is how many terms are summed before they are stored: the more the better until strips and blocks outgrow the
// second-level cache. The block of a transposed left factor is a copy and shares it.
func deepest(a matrix) int {
	if a.trans {
		return 256
	}
	return 384
}

// even is the size of n cut into the fewest pieces that are at most as large as most, all alike.
func even(n, most int) int { return ceil(n, ceil(n, most)) }

// job is the panel at hand and its two kinds of task. It lies in the engine, not in closures: panels are as many as the
// model is large.
type job struct {
	product
	rows, depth int // of a block
	block       func(w *worker, task int)
	strip       func(w *worker, task int)
}

// multiplyPanel takes C block of rows by block of rows. B is packed.
func (e *Engine) multiplyPanel(p product) {
	e.job.product = p
	e.job.rows, e.job.depth = blockRows(p.m, p.n, e.k.Tiles.Heights[0].Rows), even(p.k, deepest(p.a))
	e.team.each(ceil(p.m, e.job.rows), e.job.block)
}

func (e *Engine) multiplyBlock(w *worker, task int) {
	t, rows, depth := e.k.Tiles, e.job.rows, e.job.depth
	i := task * rows
	p := e.job.part(i, 0, min(rows, e.job.m-i), e.job.n)
	mem := w.take(max(rows*oddLines(depth), depth*oddLines(rows)), rows*p.n)
	c, ld := p.c.data, p.c.stride
	if p.c.kind == engine.BF16 {
		c, ld = pointerTo(mem[1]), p.n
	}
	for l := 0; l < p.k; l += depth {
		k := min(depth, p.k-l)
		a := e.left(w, p, l, k, mem[0])
		for j := 0; j < p.n; j += t.Cols {
			t.Product(p.m, min(t.Cols, p.n-j), k, a, p.ready.row(j, l), t.Cols, element(c, j), ld, p.accumulate || l > 0)
		}
	}
	if p.c.kind == engine.BF16 {
		e.k.Narrow(p.c.half(), p.c.stride, &mem[1][0], ld, p.m, p.n)
	}
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

// left is columns [l, l+k) of op(A) as the tiles read them. Rows of F32 are read in place, unless they would collide in the
// first-level cache; of a transposed factor the tiles want a few elements here and there, so its block is copied together.
func (e *Engine) left(w *worker, p product, l, k int, mem []float32) kernels.Operand {
	a := p.a.at(0, l)
	switch {
	case a.trans:
		ld := oddLines(p.m)
		e.copied(w, p, a, k, p.m, mem, ld)
		return kernels.Operand{Data: &mem[0], Row: 1, Col: ld}
	case a.stride%far == 0 || p.round || a.kind == engine.BF16:
		ld := oddLines(k)
		e.copied(w, p, a, p.m, k, mem, ld)
		return kernels.Operand{Data: &mem[0], Row: ld, Col: 1}
	}
	return kernels.Operand{Data: a.wide(), Row: a.stride, Col: 1}
}

// strips is a right factor [k, n] as the tiles want it: strip after strip of a tile's columns, each k rows of them.
type strips struct {
	data     []float32
	k, width int
}

// stripsLen is the elements of the strips of [k, n].
func (e *Engine) stripsLen(k, n int) int {
	width := e.k.Tiles.Cols
	return ceil(n, width) * width * k
}

// from is the part from column j, a multiple of the width, and row l on.
func (s strips) from(j, l int) strips {
	s.data = s.data[j*s.k+l*s.width:]
	return s
}

// row is row l of the strip that starts with column j.
func (s strips) row(j, l int) *float32 {
	return &s.data[j*s.k+l*s.width]
}

// panel packs all of B in scratch memory.
func (e *Engine) panel(p product) strips { return e.pack(p, e.right.take(e.stripsLen(p.k, p.n))[0]) }

// pack packs all of B in mem.
func (e *Engine) pack(p product, mem []float32) strips {
	p.ready = strips{mem, p.k, e.k.Tiles.Cols}
	e.job.product = p
	e.team.each(ceil(p.n, p.ready.width), e.job.strip)
	return p.ready
}

func (e *Engine) packStrip(w *worker, task int) {
	p, s := &e.job.product, e.job.ready
	j := task * s.width
	b, strip, cols := p.b.at(0, j), s.data[j*s.k:][:s.k*s.width], min(s.width, p.n-j)
	if !b.trans {
		e.copied(w, *p, b, s.k, cols, strip, s.width)
		return
	}
	e.k.Transpose(&strip[0], s.width, b.wide(), b.stride, cols, s.k)
	if p.round {
		e.round(w, strip)
	}
}
