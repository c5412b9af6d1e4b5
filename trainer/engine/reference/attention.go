package reference

import (
	"math"
	"slices"

	"github.com/skein-train/skein/trainer/engine"
)

// head is one query head of one sequence, in float64: what Attend and AttendGrad share.
type head struct {
	a       engine.Attention
	b, h    int
	q, k, v [][]float64 // [Time][HeadDim]; q and k rotated
}

// Attend: y = softmax(q·kᵀ/√HeadDim)·v over the tokens up to each row's own, q and k rotated by their position
// (Su et al. 2021, arXiv:2104.09864; half-split pairs).
func (*Engine) Attend(y, lse, qkv engine.Buf, a engine.Attention) {
	ys, ls, xs := make([]float64, y.Len), make([]float64, lse.Len), load(qkv)
	for b := range a.Batch {
		for h := range a.Heads {
			hd := newHead(xs, a, b, h)
			for t := range a.Time {
				scores := hd.scores(t)
				l := logSumExp(scores)
				ls[hd.row(t)] = l
				for s, x := range scores {
					axpy(ys[hd.out(t):], math.Exp(x-l), hd.v[s])
				}
			}
		}
	}
	store(y, ys)
	store(lse, ls)
}

// AttendGrad: with p = softmax, dv = pᵀ·dy, ds = p·(dy·vᵀ − dy·y)/√HeadDim, dq = ds·k and dk = dsᵀ·q, rotated back.
func (*Engine) AttendGrad(dqkv, dy, y, lse, qkv engine.Buf, a engine.Attention) {
	gs, ys, ls, xs := load(dy), load(y), load(lse), load(qkv)
	sums := make([]float64, dqkv.Len) // several query heads add to one key head
	for b := range a.Batch {
		for h := range a.Heads {
			hd := newHead(xs, a, b, h)
			dq, dk, dv := zeros(a.Time, a.HeadDim), zeros(a.Time, a.HeadDim), zeros(a.Time, a.HeadDim)
			for t := range a.Time {
				dyt := gs[hd.out(t) : hd.out(t)+a.HeadDim]
				dyy := dot(dyt, ys[hd.out(t):hd.out(t)+a.HeadDim])
				for s, x := range hd.scores(t) {
					p := math.Exp(x - ls[hd.row(t)])
					dx := p * (dot(dyt, hd.v[s]) - dyy) / math.Sqrt(float64(a.HeadDim))
					axpy(dv[s], p, dyt)
					axpy(dq[t], dx, hd.k[s])
					axpy(dk[s], dx, hd.q[t])
				}
			}
			for t := range a.Time {
				q, k, v := columns(a, b, h, t)
				rotate(dq[t], t, a.RopeBase, -1)
				rotate(dk[t], t, a.RopeBase, -1)
				axpy(sums[q:q+a.HeadDim], 1, dq[t])
				axpy(sums[k:k+a.HeadDim], 1, dk[t])
				axpy(sums[v:v+a.HeadDim], 1, dv[t])
			}
		}
	}
	store(dqkv, sums)
}

func newHead(qkv []float64, a engine.Attention, b, h int) head {
	hd := head{a: a, b: b, h: h}
	for t := range a.Time {
		qo, ko, vo := columns(a, b, h, t)
		q, k := slices.Clone(qkv[qo:qo+a.HeadDim]), slices.Clone(qkv[ko:ko+a.HeadDim])
		rotate(q, t, a.RopeBase, 1)
		rotate(k, t, a.RopeBase, 1)
		hd.q, hd.k, hd.v = append(hd.q, q), append(hd.k, k), append(hd.v, qkv[vo:vo+a.HeadDim])
	}
	return hd
}

// columns are the offsets in qkv of head h's query, key and value at time t of sequence b. Query heads share the key
// heads in groups of Heads/KVHeads (Ainslie et al. 2023, arXiv:2305.13245).
func columns(a engine.Attention, b, h, t int) (q, k, v int) {
	row := (b*a.Time + t) * (a.Heads + 2*a.KVHeads) * a.HeadDim
	kv := h / (a.Heads / a.KVHeads)
	return row + h*a.HeadDim, row + (a.Heads+kv)*a.HeadDim, row + (a.Heads+a.KVHeads+kv)*a.HeadDim
}

// out is the offset in y of row t, row that in lse.
func (hd head) out(t int) int { return ((hd.b*hd.a.Time+t)*hd.a.Heads + hd.h) * hd.a.HeadDim }
func (hd head) row(t int) int { return (hd.b*hd.a.Heads+hd.h)*hd.a.Time + t }

// scores are q[t]·k[s]/√HeadDim for s ≤ t.
func (hd head) scores(t int) []float64 {
	x := make([]float64, t+1)
	for s := range x {
		x[s] = dot(hd.q[t], hd.k[s]) / math.Sqrt(float64(hd.a.HeadDim))
	}
	return x
}

// rotate turns the pairs (x[i], x[i+HeadDim/2]) by dir·t·base^(−2i/HeadDim).
func rotate(x []float64, t int, base, dir float64) {
	half := len(x) / 2
	for i := range half {
		sin, cos := math.Sincos(dir * float64(t) * math.Pow(base, -2*float64(i)/float64(len(x))))
		a, b := x[i], x[i+half]
		x[i], x[i+half] = a*cos-b*sin, a*sin+b*cos
	}
}

func dot(x, y []float64) (s float64) {
	for i := range x {
		s += x[i] * y[i]
	}
	return s
}

func axpy(dst []float64, a float64, x []float64) {
	for i := range x {
		dst[i] += a * x[i]
	}
}

func zeros(rows, cols int) [][]float64 {
	z := make([][]float64, rows)
	for i := range z {
		z[i] = make([]float64, cols)
	}
	return z
}
