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
func (e *Engine) RMSNormGrad(dx, dw, dy, x, w, rstd engine.Buf, n, d int) {
	const rows = 128
	dxs, dws, gs, xs, ws, rs := f32(dx), f32(dw)[:d], f32(dy), f32(x), f32(w)[:d], f32(rstd)
	tasks := ceil(n, rows)
	shares := e.scratch[0].take(tasks * d)[0]
	e.team.each(tasks, func(_, task int) {
		share := shares[task*d : task*d+d]
		clear(share)
		for i := task * rows; i < min(n, (task+1)*rows); i++ {
			g, row, r := gs[i*d:i*d+d], xs[i*d:i*d+d], rs[i]
			s := e.k.NormGradSums(share, g, row, ws, r)
			e.k.NormGrad(dxs[i*d:i*d+d], g, row, ws, r, s*r*r*r/float32(d))
		}
	})
	for task := range tasks {
		e.k.Add(dws, dws, shares[task*d:task*d+d])
	}
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
