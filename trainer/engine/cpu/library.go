package cpu

import (
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/blas"
)

// library multiplies with a library, but for the products where our own is faster. C is cut into fixed blocks.
type library struct{ blas.Multiplier }

// ours says which products our own tiles make faster than the libraries: those of the forward pass, activations by
// transposed weights. A library transposes the weights for every block of rows and copies the activations; we do the one
// once and the other not at all. It holds for the widest tiles, and while a row of activations is summed in one go and no
// two rows collide in the cache.
func ours(tileCols int, p product) bool {
	const widest = 32
	return tileCols >= widest && !p.a.trans && p.b.trans && p.k <= deepest(p.a) && p.a.stride%far != 0 && !p.round
}

func (l library) multiply(e *Engine, p product) {
	if ours(e.k.Tiles.Cols, p) {
		packed{}.multiply(e, p)
		return
	}
	block := side(p.m, p.n)
	across := ceil(p.n, block)
	e.team.each(ceil(p.m, block)*across, func(w *worker, task int) {
		i, j := task/across*block, task%across*block
		part := p.part(i, j, min(block, p.m-i), min(block, p.n-j))
		switch {
		case p.round:
			l.multiplyRounded(e, w, part)
		case p.a.trans && p.m >= wide:
			l.multiplyTurned(e, w, part)
		default:
			l.sgemm(part)
		}
	})
}

func (l library) packs(e *Engine, p product) bool { return ours(e.k.Tiles.Cols, p) }

// sgemm computes a product of F32.
func (l library) sgemm(p product) {
	beta := float32(0)
	if p.accumulate {
		beta = 1
	}
	l.Sgemm(p.m, p.n, p.k, p.a.blas(), p.b.blas(), beta, p.c.blas())
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

// wide is the number of elements from row to row from which on a transposed left factor is transposed here, piece by
// piece, before the library sees it. Libraries read it against the grain, and when rows lie far apart that costs them
// up to half their speed. The gradients of weights are of this kind.
const wide = 512

func (l library) multiplyTurned(e *Engine, w *worker, p product) {
	const depth = 256
	ld := oddLines(depth)
	mem := w.take(p.m * ld)[0]
	for from := 0; from < p.k; from += depth {
		part := p
		part.k, part.b = min(depth, p.k-from), p.b.at(from, 0)
		part.a = matrix{data: pointerTo(mem), stride: ld}
		e.k.Transpose(&mem[0], ld, p.a.at(0, from).wide(), p.a.stride, part.k, p.m)
		part.accumulate = p.accumulate || from > 0
		l.sgemm(part)
	}
}

// multiplyRounded hands the library rounded copies.
func (l library) multiplyRounded(e *Engine, w *worker, p product) {
	mem := w.take(p.m*p.k, p.k*p.n, p.m*p.n)
	part := p
	part.a, part.b = e.roundedCopy(w, p, p.a, p.m, p.k, mem[0]), e.roundedCopy(w, p, p.b, p.k, p.n, mem[1])
	if p.c.kind == engine.BF16 {
		part.c = matrix{data: pointerTo(mem[2]), stride: p.n}
	}
	l.sgemm(part)
	if p.c.kind == engine.BF16 {
		e.k.Narrow(p.c.half(), p.c.stride, &mem[2][0], p.n, p.m, p.n)
	}
}

// roundedCopy is op(X) [rows, cols] in mem.
func (e *Engine) roundedCopy(w *worker, p product, x matrix, rows, cols int, mem []float32) matrix {
	if x.trans {
		rows, cols = cols, rows
	}
	e.copied(w, p, x, rows, cols, mem, cols)
	return matrix{data: pointerTo(mem), stride: cols, trans: x.trans}
}
