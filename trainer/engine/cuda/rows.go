package cuda

import (
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// Embed copies rows of the table.
func (e *Engine) Embed(y, table, ids engine.Buf, n, d int) {
	s := shapeOf(d, operands(y), table)
	e.launch("embed", blocks(n), threadsFor(d, s.width), 0, at(y), at(table), at(ids), i32(d), s.arg)
}

// EmbedGrad has a block for each token and stretch of columns; see the kernel.
func (e *Engine) EmbedGrad(dtable, dy, ids engine.Buf, n, d int) {
	const threads = 256
	s := shapeOf(d, operands(dy))
	e.launch("embed_grad", driver.Dim{X: n, Y: ceil(d, 4*threads), Z: 1}, threads, 0, at(dtable), at(dy), at(ids), i32(n), i32(d), s.arg)
}

// SwiGLU has a block for each row, as has SwiGLUGrad.
func (e *Engine) SwiGLU(y, gu engine.Buf, n, f int) {
	s := shapeOf(f, operands(y, gu))
	e.launch("swiglu", blocks(n), threadsFor(f, s.width), 0, at(y), at(gu), i32(f), s.arg)
}

// SwiGLUGrad: see the kernel for the formula.
func (e *Engine) SwiGLUGrad(dgu, dy, gu engine.Buf, n, f int) {
	s := shapeOf(f, operands(dgu, dy, gu))
	e.launch("swiglu_grad", blocks(n), threadsFor(f, s.width), 0, at(dgu), at(dy), at(gu), i32(f), s.arg)
}

// threadsFor is the size of a block that works on a row of n elements, of which a thread takes width at a time: whole warps.
func threadsFor(n, width int) int {
	const most, warp = 256, 32
	return min(ceil(ceil(n, width), warp)*warp, most)
}
