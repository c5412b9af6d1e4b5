package cuda

import (
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// normed are the rows that a norm works on: per of them lie side by side in each of n lines, which are line elements apart. The
// first of a line, as many as first says, have the weights w[0:d], the others w[d:2d].
type normed struct{ n, d, per, line, first int }

// rowsOf are those of RMSNorm, headsOf those of HeadNorm.
func rowsOf(n, d int) normed { return normed{n, d, 1, d, 1} }

func headsOf(a engine.Attention) normed {
	return normed{a.Batch * a.Time, a.HeadDim, a.Heads + a.KVHeads, (a.Heads + 2*a.KVHeads) * a.HeadDim, a.Heads}
}

func (r normed) kinds() int {
	if r.first < r.per {
		return 2
	}
	return 1
}

// parts is how many sums of a weight's gradient are made apart, each of share lines.
func (r normed) parts() int { return ceil(r.n, share) * r.kinds() * r.d }

const share = 128

// warps is the number of rows that a block of the norms' kernels works on, one by each warp.
const warps = 8

func (r normed) grid() driver.Dim { return blocks(ceil(r.n*r.per, warps)) }

// RMSNorm: see the kernel, norm.
func (e *Engine) RMSNorm(y, rstd, x, w engine.Buf, n, d int, eps float32) {
	e.norm(y, rstd, x, w, rowsOf(n, d), eps)
}

// HeadNorm normalises queries and keys and copies values.
func (e *Engine) HeadNorm(y, rstd, qkv, w engine.Buf, a engine.Attention, eps float32) {
	r := headsOf(a)
	e.norm(y, rstd, qkv, w, r, eps)
	e.copyValues(y, qkv, r)
}

func (e *Engine) norm(y, rstd, x, w engine.Buf, r normed, eps float32) {
	s := shapeOf(r.d, operands(y, x), w)
	e.launch("norm", r.grid(), 32*warps, 0, at(y), at(rstd), at(x), at(w),
		i32(r.n*r.per), i32(r.d), i32(r.per), i32(r.line), i32(r.first), f32(eps), s.arg)
}

// copyValues copies what of a line is not normalised.
func (e *Engine) copyValues(dst, src engine.Buf, r normed) {
	if dst == src {
		return
	}
	from := r.per * r.d
	e.launch("copy_columns", blocks(r.n), threadsFor(r.line-from, 1), 0, at(dst), at(src), i32(r.line), i32(from), i32(r.line), shapeOf(r.d, operands(dst, src)).arg)
}

// RMSNormGrad: see the kernels, norm_weights and norm_grad.
func (e *Engine) RMSNormGrad(dx, dw, dy, x, w, rstd, skip engine.Buf, n, d int) {
	e.normGrad(dx, dw, dy, x, w, rstd, skip, rowsOf(n, d))
}

// HeadNormGrad is RMSNormGrad of queries and keys; the gradient of values goes through.
func (e *Engine) HeadNormGrad(dqkv, dw, dy, qkv, w, rstd engine.Buf, a engine.Attention) {
	r := headsOf(a)
	e.normGrad(dqkv, dw, dy, qkv, w, rstd, engine.Buf{}, r)
	e.copyValues(dqkv, dy, r)
}

// normGrad adds to dw first: dx may take dy's place.
func (e *Engine) normGrad(dx, dw, dy, x, w, rstd, skip engine.Buf, r normed) {
	count, kinds := ceil(r.n, share), r.kinds()
	parts := e.scratch(r.parts())
	e.launch("norm_weights", driver.Dim{X: ceil(r.d, 32), Y: count, Z: kinds}, 256, 0, at(parts), at(dy), at(x), at(rstd),
		i32(r.n), i32(share), i32(r.d), i32(r.per), i32(r.line), i32(r.first), i32(kinds), shapeOf(r.d, operands(dy, x)).arg)
	e.launch("add_parts", blocks(ceil(kinds*r.d, 256)), 256, 0, at(dw), at(parts), i32(count), i32(kinds*r.d))

	s := shapeOf(r.d, operands(dx, dy, x, skip), w)
	e.launch("norm_grad", r.grid(), 32*warps, 0, at(dx), at(dy), at(x), at(w), at(rstd), at(skip),
		i32(r.n*r.per), i32(r.d), i32(r.per), i32(r.line), i32(r.first), s.arg)
}
