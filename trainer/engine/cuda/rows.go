package cuda

import "github.com/skein-train/skein/trainer/engine"

// Embed is not there yet.
func (e *Engine) Embed(y, table, ids engine.Buf, n, d int) { e.notYet("Embed") }

// EmbedGrad is not there yet.
func (e *Engine) EmbedGrad(dtable, dy, ids engine.Buf, n, d int) { e.notYet("EmbedGrad") }

// RMSNorm is not there yet.
func (e *Engine) RMSNorm(y, rstd, x, w engine.Buf, n, d int, eps float32) { e.notYet("RMSNorm") }

// RMSNormGrad is not there yet.
func (e *Engine) RMSNormGrad(dx, dw, dy, x, w, rstd, skip engine.Buf, n, d int) {
	e.notYet("RMSNormGrad")
}

// HeadNorm is not there yet.
func (e *Engine) HeadNorm(y, rstd, qkv, w engine.Buf, a engine.Attention, eps float32) {
	e.notYet("HeadNorm")
}

// HeadNormGrad is not there yet.
func (e *Engine) HeadNormGrad(dqkv, dw, dy, qkv, w, rstd engine.Buf, a engine.Attention) {
	e.notYet("HeadNormGrad")
}

// SwiGLU is not there yet.
func (e *Engine) SwiGLU(y, gu engine.Buf, n, f int) { e.notYet("SwiGLU") }

// SwiGLUGrad is not there yet.
func (e *Engine) SwiGLUGrad(dgu, dy, gu engine.Buf, n, f int) { e.notYet("SwiGLUGrad") }

// SumSquares is not there yet.
func (e *Engine) SumSquares(x engine.Buf) float64 { e.notYet("SumSquares"); return 0 }

// AdamW is not there yet.
func (e *Engine) AdamW(p, g, m, v engine.Buf, decay [][2]int, s engine.AdamW) { e.notYet("AdamW") }
