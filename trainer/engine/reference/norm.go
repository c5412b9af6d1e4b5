package reference

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
)

// RMSNorm: y = x·rstd·w, rstd = 1/sqrt(mean(x²)+eps) (Zhang & Sennrich 2019, arXiv:1910.07467).
func (*Engine) RMSNorm(y, rstd, x, w engine.Buf, n, d int, eps float32) {
	ys, rs, xs, ws := f32(y), f32(rstd), f32(x), f32(w)
	for i := range n {
		xi, yi := xs[i*d:i*d+d], ys[i*d:i*d+d]
		var s float64
		for _, v := range xi {
			s += float64(v) * float64(v)
		}
		r := 1 / math.Sqrt(s/float64(d)+float64(eps))
		rs[i] = float32(r)
		for j, v := range xi {
			yi[j] = float32(float64(v) * r * float64(ws[j]))
		}
	}
}

// RMSNormGrad: with h = x·rstd, dw += Σ dy·h and dx = rstd·(dy·w − h·mean(dy·w·h)).
func (*Engine) RMSNormGrad(dx, dw, dy, x, w, rstd engine.Buf, n, d int) {
	dxs, gs, xs, ws, rs := f32(dx), f32(dy), f32(x), f32(w), f32(rstd)
	sums := widen(f32(dw))
	for i := range n {
		xi, gi, di, r := xs[i*d:i*d+d], gs[i*d:i*d+d], dxs[i*d:i*d+d], float64(rs[i])
		var mean float64
		for j, v := range xi {
			h := float64(v) * r
			sums[j] += float64(gi[j]) * h
			mean += float64(gi[j]) * float64(ws[j]) * h / float64(d)
		}
		for j, v := range xi {
			di[j] = float32(r * (float64(gi[j])*float64(ws[j]) - float64(v)*r*mean))
		}
	}
	narrow(f32(dw), sums)
}

// SwiGLU: y = silu(gate)·up (Shazeer 2020, arXiv:2002.05202).
func (*Engine) SwiGLU(y, gu engine.Buf, n, f int) {
	ys, gus := f32(y), f32(gu)
	for i := range n {
		gate, up := gus[2*i*f:(2*i+1)*f], gus[(2*i+1)*f:(2*i+2)*f]
		for j := range f {
			g := float64(gate[j])
			ys[i*f+j] = float32(g * sigmoid(g) * float64(up[j]))
		}
	}
}

// SwiGLUGrad: with s = σ(gate), dup = dy·gate·s and dgate = dy·up·s·(1 + gate·(1−s)).
func (*Engine) SwiGLUGrad(dgu, dy, gu engine.Buf, n, f int) {
	ds, gs, gus := f32(dgu), f32(dy), f32(gu)
	for i := range n {
		gate, up := gus[2*i*f:(2*i+1)*f], gus[(2*i+1)*f:(2*i+2)*f]
		dgate, dup := ds[2*i*f:(2*i+1)*f], ds[(2*i+1)*f:(2*i+2)*f]
		for j := range f {
			g, u, dy := float64(gate[j]), float64(up[j]), float64(gs[i*f+j])
			s := sigmoid(g)
			dgate[j] = float32(dy * u * s * (1 + g*(1-s)))
			dup[j] = float32(dy * g * s)
		}
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
