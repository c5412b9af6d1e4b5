package cuda

import "github.com/skein-train/skein/trainer/engine"

// MatMul is not there yet.
func (e *Engine) MatMul(c, a, b engine.Buf, transA, transB bool, m, n, k int, accumulate bool) {
	e.notYet("MatMul")
}

// Refresh is not there yet.
func (e *Engine) Refresh(w *engine.Weight, uses int) { e.notYet("Refresh") }

// Linear is not there yet.
func (e *Engine) Linear(y, x engine.Buf, w *engine.Weight, n int) { e.notYet("Linear") }

// LinearBack is not there yet.
func (e *Engine) LinearBack(dx, dy engine.Buf, w *engine.Weight, n int) { e.notYet("LinearBack") }

// LinearGrad is not there yet.
func (e *Engine) LinearGrad(dw, dy, x engine.Buf, n, out, in int, accumulate bool) {
	e.notYet("LinearGrad")
}
