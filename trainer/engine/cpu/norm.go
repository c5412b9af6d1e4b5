package cpu

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
)

// RMSNorm: rows are independent.
func (e *Engine) RMSNorm(y, rstd, x, w engine.Buf, n, d int, eps float32) {
	ys, rs, xs, ws := f32(y), f32(rstd), f32(x), f32(w)[:d]
	e.team.spans(n, d, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := xs[i*d : i*d+d]
			rs[i] = float32(1 / math.Sqrt(float64(e.k.Dot(row, row)/float32(d))+float64(eps)))
			e.k.Norm(ys[i*d:i*d+d], row, ws, rs[i])
		}
	})
}

// RMSNormGrad: each task sums its share of dw apart; the shares are added in order.
func (e *Engine) RMSNormGrad(dx, dw, dy, x, w, rstd, skip engine.Buf, n, d int) {
	dxs, gs, xs, ws, rs := f32(dx), f32(dy), f32(x), f32(w)[:d], f32(rstd)
	around := f32(skip)
	e.shares(n, f32(dw)[:d], func(share []float32, row []float32, i int) {
		g, from, r := gs[i*d:i*d+d], xs[i*d:i*d+d], rs[i]
		s := e.k.NormGradSums(share, g, from, ws, r)
		to := dxs[i*d : i*d+d]
		if len(around) == 0 {
			e.k.NormGrad(to, g, from, ws, r, s*r*r*r/float32(d))
			return
		}
		e.k.NormGrad(row, g, from, ws, r, s*r*r*r/float32(d))
		e.k.Add(to, row, around[i*d:i*d+d])
	})
}

// shares runs f on the rows [0, n); what f adds to its share, which starts at zero and is as long as sum, is added to sum,
// in the order of fixed blocks of rows. row is as long, for f to use.
func (e *Engine) shares(n int, sum []float32, f func(share, row []float32, i int)) {
	const rows = 128
	d, tasks := len(sum), ceil(n, rows)
	all := e.scratch[0].take(tasks*d, e.team.size()*d)
	e.team.each(tasks, func(worker, task int) {
		share, row := all[0][task*d:task*d+d], all[1][worker*d:worker*d+d]
		clear(share)
		for i := task * rows; i < min(n, (task+1)*rows); i++ {
			f(share, row, i)
		}
	})
	for task := range tasks {
		e.k.Add(sum, sum, all[0][task*d:task*d+d])
	}
}

// HeadNorm: heads are independent.
func (e *Engine) HeadNorm(y, rstd, qkv, w engine.Buf, a engine.Attention, eps float32) {
	ys, rs, xs, ws, d := f32(y), f32(rstd), f32(qkv), f32(w), a.HeadDim
	heads := a.Heads + a.KVHeads
	width := (heads + a.KVHeads) * d
	e.team.spans(a.Batch*a.Time, width, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			for h := range heads {
				at := i*width + h*d
				row := xs[at : at+d]
				r := float32(1 / math.Sqrt(float64(e.k.Dot(row, row)/float32(d))+float64(eps)))
				rs[i*heads+h] = r
				e.k.Norm(ys[at:at+d], row, weightsOf(ws, h, a), r)
			}
			copy(ys[i*width+heads*d:(i+1)*width], xs[i*width+heads*d:(i+1)*width])
		}
	})
}

// HeadNormGrad shares the gradient of the weights out as RMSNormGrad does.
func (e *Engine) HeadNormGrad(dqkv, dw, dy, qkv, w, rstd engine.Buf, a engine.Attention) {
	ds, gs, xs, ws, rs, d := f32(dqkv), f32(dy), f32(qkv), f32(w), f32(rstd), a.HeadDim
	heads := a.Heads + a.KVHeads
	width := (heads + a.KVHeads) * d
	e.shares(a.Batch*a.Time, f32(dw)[:2*d], func(share, _ []float32, i int) {
		for h := range heads {
			at, r := i*width+h*d, rs[i*heads+h]
			g, from := gs[at:at+d], xs[at:at+d]
			s := e.k.NormGradSums(weightsOf(share, h, a), g, from, weightsOf(ws, h, a), r)
			e.k.NormGrad(ds[at:at+d], g, from, weightsOf(ws, h, a), r, s*r*r*r/float32(d))
		}
		copy(ds[i*width+heads*d:(i+1)*width], gs[i*width+heads*d:(i+1)*width])
	})
}

// weightsOf is the half of w, queries' and keys', that head h uses.
func weightsOf(w []float32, h int, a engine.Attention) []float32 {
	if h < a.Heads {
		return w[:a.HeadDim]
	}
	return w[a.HeadDim : 2*a.HeadDim]
}

// SwiGLU: rows are independent.
func (e *Engine) SwiGLU(y, gu engine.Buf, n, f int) {
	ys, gus := f32(y), f32(gu)
	e.team.spans(n, f, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			gate, up := halves(gus, i, f)
			e.k.SwiGLU(ys[i*f:i*f+f], gate, up)
		}
	})
}

// SwiGLUGrad: rows are independent.
func (e *Engine) SwiGLUGrad(dgu, dy, gu engine.Buf, n, f int) {
	ds, gs, gus := f32(dgu), f32(dy), f32(gu)
	e.team.spans(n, f, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			gate, up := halves(gus, i, f)
			dgate, dup := halves(ds, i, f)
			e.k.SwiGLUGrad(dgate, dup, gs[i*f:i*f+f], gate, up)
		}
	})
}

// halves are the gate and the up part of row i.
func halves(gu []float32, i, f int) (gate, up []float32) {
	row := gu[2*i*f : (2*i+2)*f]
	return row[:f], row[f:]
}
