package cuda

import "github.com/skein-train/skein/trainer/engine"

// Attend is not there yet.
func (e *Engine) Attend(y, lse, qkv engine.Buf, a engine.Attention) { e.notYet("Attend") }

// AttendGrad is not there yet.
func (e *Engine) AttendGrad(dqkv, dy, y, lse, qkv engine.Buf, a engine.Attention) {
	e.notYet("AttendGrad")
}
