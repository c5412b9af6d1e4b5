package cpu

import (
	"math"
	"unsafe"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/blas"
)

// rowBlock query rows are handled at once: enough for the matrix products, and what lies above the diagonal of the
// scores is left out in steps of it.
const rowBlock = 64

// Attend: one task is one key head of one sequence with the query heads that share it. A block of query rows meets
// all keys up to its end, is turned into weights row by row, and meets the values.
func (e *Engine) Attend(y, lse, qkv engine.Buf, a engine.Attention) {
	ys, ls, xs := f32(y), f32(lse), f32(qkv)
	rope, scale := e.rope(a), float32(1/math.Sqrt(float64(a.HeadDim)))
	e.team.each(a.Batch*a.KVHeads, func(worker, task int) {
		g, d := layout(a, task), a.HeadDim
		mem := e.scratch[worker].take(a.Time*d, a.Time*d, min(rowBlock, a.Time)*a.Time)
		q, k, s := mem[0], mem[1], mem[2]
		v := view(xs[g.v:], g.width)
		rope.rotate(&e.k, k, d, xs[g.k:], g.width, a.Time, rope.sin, 1)
		for h := range g.group {
			rope.rotate(&e.k, q, d, xs[g.q+h*d:], g.width, a.Time, rope.sin, scale)
			out, logs := ys[g.out+h*d:], ls[g.row+h*a.Time:]
			for lo := 0; lo < a.Time; lo += rowBlock {
				hi := min(lo+rowBlock, a.Time)
				e.mul.Sgemm(hi-lo, hi, d, view(q[lo*d:], d), turned(k, d), 0, view(s, hi))
				var sums [rowBlock]float32
				for t := lo; t < hi; t++ {
					row := s[(t-lo)*hi : (t-lo+1)*hi]
					top := e.k.Max(row[:t+1])
					sums[t-lo] = e.k.ExpSum(row[:t+1], row[:t+1], top)
					clear(row[t+1:])
					logs[t] = top + float32(math.Log(float64(sums[t-lo])))
				}
				e.mul.Sgemm(hi-lo, d, hi, view(s, hi), v, 0, view(out[lo*g.outWidth:], g.outWidth))
				for t := lo; t < hi; t++ {
					row := out[t*g.outWidth : t*g.outWidth+d]
					e.k.Scale(row, row, 1/sums[t-lo])
				}
			}
		}
	})
}

// AttendGrad: as Attend; weights are made again from the scores and lse. A task owns its columns of dqkv.
func (e *Engine) AttendGrad(dqkv, dy, y, lse, qkv engine.Buf, a engine.Attention) {
	ds, gs, ys, ls, xs := f32(dqkv), f32(dy), f32(y), f32(lse), f32(qkv)
	rope, scale := e.rope(a), float32(1/math.Sqrt(float64(a.HeadDim)))
	e.team.each(a.Batch*a.KVHeads, func(worker, task int) {
		g, d := layout(a, task), a.HeadDim
		block := min(rowBlock, a.Time) * a.Time
		mem := e.scratch[worker].take(a.Time*d, a.Time*d, a.Time*d, a.Time*d, block, block)
		q, k, dq, dk, p, dp := mem[0], mem[1], mem[2], mem[3], mem[4], mem[5]
		v, dv := view(xs[g.v:], g.width), view(ds[g.v:], g.width)
		clear(dk)
		for t := range a.Time {
			clear(ds[g.v+t*g.width:][:d])
		}
		rope.rotate(&e.k, k, d, xs[g.k:], g.width, a.Time, rope.sin, 1)
		for h := range g.group {
			rope.rotate(&e.k, q, d, xs[g.q+h*d:], g.width, a.Time, rope.sin, scale)
			out, dout, logs := ys[g.out+h*d:], gs[g.out+h*d:], ls[g.row+h*a.Time:]
			for lo := 0; lo < a.Time; lo += rowBlock {
				hi := min(lo+rowBlock, a.Time)
				n := hi - lo
				dyb := view(dout[lo*g.outWidth:], g.outWidth)
				e.mul.Sgemm(n, hi, d, view(q[lo*d:], d), turned(k, d), 0, view(p, hi))
				e.mul.Sgemm(n, hi, d, dyb, transposed(v), 0, view(dp, hi))
				for t := lo; t < hi; t++ {
					at, end := (t-lo)*hi, (t-lo)*hi+t+1
					mean := e.k.Dot(dout[t*g.outWidth:t*g.outWidth+d], out[t*g.outWidth:t*g.outWidth+d])
					e.k.SoftmaxGrad(dp[at:end], p[at:end], logs[t], mean)
					clear(p[end : at+hi])
					clear(dp[end : at+hi])
				}
				e.mul.Sgemm(hi, d, n, turned(p, hi), dyb, 1, dv)
				e.mul.Sgemm(n, d, hi, view(dp, hi), view(k, d), 0, view(dq[lo*d:], d))
				e.mul.Sgemm(hi, d, n, turned(dp, hi), view(q[lo*d:], d), 1, view(dk, d))
			}
			rope.rotate(&e.k, ds[g.q+h*d:], g.width, dq, d, a.Time, rope.back, scale)
		}
		rope.rotate(&e.k, ds[g.k:], g.width, dk, d, a.Time, rope.back, 1)
	})
}

// group says where the numbers of one key head of one sequence lie.
type group struct {
	group          int // query heads that share the key head
	q, k, v, width int // offsets in qkv of the first row; elements from row to row
	out, outWidth  int // the same in y
	row            int // offset in lse
}

func layout(a engine.Attention, task int) group {
	b, kv := task/a.KVHeads, task%a.KVHeads
	n, d := a.Heads/a.KVHeads, a.HeadDim
	width := (a.Heads + 2*a.KVHeads) * d
	first := b * a.Time * width
	return group{
		group: n, width: width, outWidth: a.Heads * d,
		q: first + kv*n*d, k: first + (a.Heads+kv)*d, v: first + (a.Heads+a.KVHeads+kv)*d,
		out: b*a.Time*a.Heads*d + kv*n*d, row: (b*a.Heads + kv*n) * a.Time,
	}
}

func view(x []float32, stride int) blas.Matrix {
	return blas.Matrix{Data: unsafe.SliceData(x), Stride: stride}
}

func turned(x []float32, stride int) blas.Matrix { return transposed(view(x, stride)) }

func transposed(m blas.Matrix) blas.Matrix {
	m.Trans = !m.Trans
	return m
}
