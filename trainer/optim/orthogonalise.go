package optim

import "github.com/skein-train/skein/trainer/engine"

// The quintic of Muon's Newton–Schulz iteration, σ ← a·σ + b·σ³ + c·σ⁵ on every singular value, and how often it is
// applied. The coefficients were chosen for a steep slope at 0 (Jordan et al. 2024): singular values need not become 1, about
// 0.7 to 1.2 is near enough.
const (
	quinticA, quinticB, quinticC = 3.4445, -4.7750, 2.0315

	quinticSteps = 5
)

// normFloor keeps a matrix of zeros from being divided by zero: it stays zero.
const normFloor = 1e-7

// orthogonaliser replaces a matrix U·S·Vᵀ by about U·Vᵀ. Its memory serves one matrix after the other.
type orthogonaliser struct {
	x, y         engine.Buf // [rows, cols]: the matrix, and what is added to it
	gram, square engine.Buf // [side, side], side = min(rows, cols)
	engine       engine.Engine
}

func newOrthogonaliser(e engine.Engine, matrices []matrix) *orthogonaliser {
	area, side := 0, 0
	for _, m := range matrices {
		area, side = max(area, m.rows*m.cols), max(side, min(m.rows, m.cols))
	}
	return &orthogonaliser{e.Alloc(area), e.Alloc(area), e.Alloc(side * side), e.Alloc(side * side), e}
}

// orthogonaliseProducts are run's in every one of its quinticSteps: A, its square, and what is added to x.
func orthogonaliseProducts(rows, cols int) []engine.Product {
	side, long := min(rows, cols), max(rows, cols)
	return []engine.Product{{M: side, N: side, K: long}, {M: side, N: side, K: side}, {M: rows, N: cols, K: side}}
}

// run works on x [rows, cols] in place: x/‖x‖ has no singular value above 1, and each step takes x to (a·I + b·A + c·A²)·x
// with A = x·xᵀ, or to x·(a·I + b·A + c·A²) with A = xᵀ·x, whichever A is smaller. A is symmetric, so that A·Aᵀ, which engines
// like to multiply, is A².
func (o *orthogonaliser) run(rows, cols int) {
	side, tall := min(rows, cols), rows > cols
	x, y := o.x.Slice(0, rows*cols), o.y.Slice(0, rows*cols)
	gram, square := o.gram.Slice(0, side*side), o.square.Slice(0, side*side)
	o.engine.Normalise(x, normFloor)
	for range quinticSteps {
		o.engine.MatMul(gram, x, x, tall, !tall, side, side, max(rows, cols), false)
		o.engine.MatMul(square, gram, gram, false, true, side, side, side, false)
		o.engine.Mix(gram, engine.Number(quinticB), gram, engine.Number(quinticC), square)
		if tall {
			o.engine.MatMul(y, x, gram, false, false, rows, cols, side, false)
		} else {
			o.engine.MatMul(y, gram, x, false, false, rows, cols, side, false)
		}
		o.engine.Mix(x, engine.Number(quinticA), x, engine.Number(1), y)
	}
}
