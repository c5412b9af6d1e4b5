package cuda

import "github.com/skein-train/skein/trainer/engine"

// Head is not there yet.
func (e *Engine) Head(loss, dx, dw, x engine.Buf, w *engine.Weight, targets engine.Buf, n int, l engine.Loss) {
	e.notYet("Head")
}
