package cpu

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
)

// RMSNorm: rows are independent.
func (e *Engine) RMSNorm(y, rstd, x, w engine.Buf, n, d int, eps float32) {
	ys, rs, xs, ws := e.view(y), f32(rstd), e.view(x), f32(w)[:d]
	e.team.spans(n, d, func(w *worker, lo, hi int) {
		tmp := w.take(d, d)
		for i := lo; i < hi; i++ {
			out := ys.room(i*d, d, tmp[0])
			rs[i] = e.norm(out, xs.read(i*d, d, tmp[1]), ws, eps)
			ys.put(i*d, out)
		}
	})
}

// norm writes one row and returns its rstd.
func (e *Engine) norm(y, x, w []float32, eps float32) float32 {
	r := float32(1 / math.Sqrt(float64(e.k.Dot(x, x)/float32(len(x)))+float64(eps)))
	e.k.Norm(y, x, w, r)
	return r
}

// RMSNormGrad: each task sums its share of dw apart; the shares are added in order.
func (e *Engine) RMSNormGrad(dx, dw, dy, x, w, rstd, skip engine.Buf, n, d int) {
	dxs, gs, xs, ws, rs, around := e.view(dx), e.view(dy), e.view(x), f32(w)[:d], f32(rstd), e.view(skip)
	e.shares(n, f32(dw)[:d], func(w *worker, share []float32, lo, hi int) {
		tmp := w.take(d, d, d, d)
		for i := lo; i < hi; i++ {
			at, r := i*d, rs[i]
			g, from, to := gs.read(at, d, tmp[0]), xs.read(at, d, tmp[1]), dxs.room(at, d, tmp[2])
			c := e.k.NormGradSums(share, g, from, ws, r) * r * r * r / float32(d)
			if skip.Len == 0 {
				e.k.NormGrad(to, g, from, ws, r, c)
			} else {
				e.k.NormGradAdd(to, g, from, ws, around.read(at, d, tmp[3]), r, c)
			}
			dxs.put(at, to)
		}
	})
}

// shares runs f on the rows [0, n), block by block; what f adds to its share, which starts at zero and is as long as sum,
// is added to sum, in the order of the blocks.
func (e *Engine) shares(n int, sum []float32, f func(w *worker, share []float32, lo, hi int)) {
	const rows = 128
	d, tasks := len(sum), ceil(n, rows)
	all := e.sums.take(tasks * d)[0]
	e.team.each(tasks, func(w *worker, task int) {
		share := all[task*d : task*d+d]
		clear(share)
		f(w, share, task*rows, min(n, (task+1)*rows))
	})
	for task := range tasks {
		e.k.Add(sum, sum, all[task*d:task*d+d])
	}
}

// HeadNorm: heads are independent.
func (e *Engine) HeadNorm(y, rstd, qkv, w engine.Buf, a engine.Attention, eps float32) {
	ys, rs, xs, ws, d := e.view(y), f32(rstd), e.view(qkv), f32(w), a.HeadDim
	heads := a.Heads + a.KVHeads
	width := (heads + a.KVHeads) * d
	e.team.spans(a.Batch*a.Time, width, func(w *worker, lo, hi int) {
		tmp := w.take(width, width)
		for i := lo; i < hi; i++ {
			out, row := ys.room(i*width, width, tmp[0]), xs.read(i*width, width, tmp[1])
			for h := range heads {
				rs[i*heads+h] = e.norm(out[h*d:h*d+d], row[h*d:h*d+d], weightsOf(ws, h, a), eps)
			}
			copy(out[heads*d:], row[heads*d:])
			ys.put(i*width, out)
		}
	})
}

// HeadNormGrad shares the gradient of the weights out as RMSNormGrad does.
func (e *Engine) HeadNormGrad(dqkv, dw, dy, qkv, w, rstd engine.Buf, a engine.Attention) {
	ds, gs, xs, ws, rs, d := e.view(dqkv), e.view(dy), e.view(qkv), f32(w), f32(rstd), a.HeadDim
	heads := a.Heads + a.KVHeads
	width := (heads + a.KVHeads) * d
	e.shares(a.Batch*a.Time, f32(dw)[:2*d], func(w *worker, share []float32, lo, hi int) {
		tmp := w.take(width, width, width)
		for i := lo; i < hi; i++ {
			at := i * width
			to, g, from := ds.room(at, width, tmp[0]), gs.read(at, width, tmp[1]), xs.read(at, width, tmp[2])
			for h := range heads {
				lo, hi, r := h*d, h*d+d, rs[i*heads+h]
				c := e.k.NormGradSums(weightsOf(share, h, a), g[lo:hi], from[lo:hi], weightsOf(ws, h, a), r) * r * r * r / float32(d)
				e.k.NormGrad(to[lo:hi], g[lo:hi], from[lo:hi], weightsOf(ws, h, a), r, c)
			}
			copy(to[heads*d:], g[heads*d:])
			ds.put(at, to)
		}
	})
}

// weightsOf is the half of w, queries' and keys', that head h uses.
func weightsOf(w []float32, h int, a engine.Attention) []float32 {
	if h < a.Heads {
		return w[:a.HeadDim]
	}
	return w[a.HeadDim : 2*a.HeadDim]
}
