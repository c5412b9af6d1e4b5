package reference

import (
	"math"
	"slices"

	"github.com/skein-train/skein/trainer/engine"
)

// RMSNorm: y = x·rstd·w, rstd = 1/sqrt(mean(x²)+eps) (Zhang & Sennrich 2019, arXiv:1910.07467).
func (*Engine) RMSNorm(y, rstd, x, w engine.Buf, n, d int, eps float32) {
	ys, rs, xs, ws := make([]float64, n*d), make([]float64, n), load(x), load(w)
	for i := range n {
		rs[i] = norm(ys[i*d:i*d+d], xs[i*d:i*d+d], ws, float64(eps))
	}
	store(y, ys)
	store(rstd, rs)
}

// norm writes one normalised row and returns its rstd.
func norm(y, x, w []float64, eps float64) (rstd float64) {
	rstd = 1 / math.Sqrt(dot(x, x)/float64(len(x))+eps)
	for j, v := range x {
		y[j] = v * rstd * w[j]
	}
	return rstd
}

// RMSNormGrad: with h = x·rstd, dw += Σ dy·h and dx = rstd·(dy·w − h·mean(dy·w·h)), plus what came around the norm.
func (*Engine) RMSNormGrad(dx, dw, dy, x, w, rstd, skip engine.Buf, n, d int) {
	dxs, dws, gs, xs, ws, rs := make([]float64, n*d), load(dw), load(dy), load(x), load(w), load(rstd)
	for i := range n {
		normGrad(dxs[i*d:i*d+d], dws, gs[i*d:i*d+d], xs[i*d:i*d+d], ws, rs[i])
	}
	if skip.Len > 0 {
		axpy(dxs, 1, load(skip))
	}
	store(dx, dxs)
	store(dw, dws)
}

func normGrad(dx, dw, dy, x, w []float64, rstd float64) {
	var mean float64
	for j, v := range x {
		dw[j] += dy[j] * v * rstd
		mean += dy[j] * w[j] * v * rstd / float64(len(x))
	}
	for j, v := range x {
		dx[j] = rstd * (dy[j]*w[j] - v*rstd*mean)
	}
}

// HeadNorm: RMSNorm of every query and key head, each kind with its own weights.
func (*Engine) HeadNorm(y, rstd, qkv, w engine.Buf, a engine.Attention, eps float32) {
	ys, rs, ws := load(qkv), make([]float64, rstd.Len), load(w)
	eachHead(a, func(i, lo, hi, kind int) {
		rs[i] = norm(ys[lo:hi], slices.Clone(ys[lo:hi]), ws[kind*a.HeadDim:(kind+1)*a.HeadDim], float64(eps))
	})
	store(y, ys)
	store(rstd, rs)
}

// HeadNormGrad: RMSNormGrad of every query and key head; the gradient of values goes through.
func (*Engine) HeadNormGrad(dqkv, dw, dy, qkv, w, rstd engine.Buf, a engine.Attention) {
	ds, dws, xs, ws, rs := load(dy), load(dw), load(qkv), load(w), load(rstd)
	eachHead(a, func(i, lo, hi, kind int) {
		from, to := kind*a.HeadDim, (kind+1)*a.HeadDim
		normGrad(ds[lo:hi], dws[from:to], slices.Clone(ds[lo:hi]), xs[lo:hi], ws[from:to], rs[i])
	})
	store(dqkv, ds)
	store(dw, dws)
}

// eachHead calls f with the number of each query (kind 0) and key head (kind 1), row by row, and where it lies in qkv.
func eachHead(a engine.Attention, f func(i, lo, hi, kind int)) {
	width, heads := a.Heads+2*a.KVHeads, a.Heads+a.KVHeads
	for row := range a.Batch * a.Time {
		for h := range heads {
			lo, kind := (row*width+h)*a.HeadDim, 0
			if h >= a.Heads {
				kind = 1
			}
			f(row*heads+h, lo, lo+a.HeadDim, kind)
		}
	}
}

// SwiGLU: y = silu(gate)·up (Shazeer 2020, arXiv:2002.05202).
func (*Engine) SwiGLU(y, gu engine.Buf, n, f int) {
	ys, gus := make([]float64, n*f), load(gu)
	for i := range n {
		gate, up := gus[2*i*f:(2*i+1)*f], gus[(2*i+1)*f:(2*i+2)*f]
		for j, g := range gate {
			ys[i*f+j] = g * sigmoid(g) * up[j]
		}
	}
	store(y, ys)
}

// SwiGLUGrad: with s = σ(gate), dup = dy·gate·s and dgate = dy·up·s·(1 + gate·(1−s)).
func (*Engine) SwiGLUGrad(dgu, dy, gu engine.Buf, n, f int) {
	ds, gs, gus := make([]float64, 2*n*f), load(dy), load(gu)
	for i := range n {
		gate, up := gus[2*i*f:(2*i+1)*f], gus[(2*i+1)*f:(2*i+2)*f]
		dgate, dup := ds[2*i*f:(2*i+1)*f], ds[(2*i+1)*f:(2*i+2)*f]
		for j, g := range gate {
			dy, s := gs[i*f+j], sigmoid(g)
			dgate[j] = dy * up[j] * s * (1 + g*(1-s))
			dup[j] = dy * g * s
		}
	}
	store(dgu, ds)
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
