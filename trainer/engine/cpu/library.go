package cpu

import "github.com/skein-train/skein/trainer/engine/cpu/blas"

// library multiplies with a library, but for the products where our own is faster. C is cut into fixed blocks.
type library struct{ blas.Multiplier }

// ours says which products our own tiles make faster than the libraries: those of the forward pass, activations by
// transposed weights. A library transposes the weights for every block of rows and copies the activations; we do the one
// once and the other not at all. It holds for the widest tiles, and while a row of activations is summed in one go and no
// two rows collide in the cache.
func ours(tileCols int, p product) bool {
	const widest = 32
	return tileCols >= widest && !p.a.Trans && p.b.Trans && p.k <= deepest(p.a) && p.a.Stride%far != 0
}

func (l library) multiply(e *Engine, p product, accumulate bool) {
	if ours(e.k.Tiles.Cols, p) {
		packed{}.multiply(e, p, accumulate)
		return
	}
	beta := float32(0)
	if accumulate {
		beta = 1
	}
	block := side(p.m, p.n)
	across := ceil(p.n, block)
	e.team.each(ceil(p.m, block)*across, func(worker, task int) {
		i, j := task/across*block, task%across*block
		rows, cols := min(block, p.m-i), min(block, p.n-j)
		part := product{rows, cols, p.k, at(p.a, i, 0), at(p.b, 0, j), at(p.c, i, j)}
		if p.a.Trans && p.m >= wide {
			l.multiplyTurned(e, worker, part, beta)
			return
		}
		l.Sgemm(part.m, part.n, part.k, part.a, part.b, beta, part.c)
	})
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

func (l library) multiplyTurned(e *Engine, worker int, p product, beta float32) {
	const depth = 256
	ld := oddLines(depth)
	piece := blas.Matrix{Data: &e.scratch[worker].take(p.m * ld)[0][0], Stride: ld}
	for from := 0; from < p.k; from += depth {
		part := min(depth, p.k-from)
		e.k.Transpose(piece.Data, ld, at(p.a, 0, from).Data, p.a.Stride, part, p.m)
		l.Sgemm(p.m, p.n, part, piece, at(p.b, from, 0), beta, p.c)
		beta = 1
	}
}
