package cpu

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
)

// rowBlock query rows are handled at once: what lies above the diagonal of the scores is left out in steps of it. It is
// a multiple of the tallest tiles.
const rowBlock = 48

// head is the work of one task: one key head of one sequence with the query heads that share it. The matrices are
// copied out of the packed rows, rotated and where needed transposed, so that all products find rows side by side.
type head struct {
	group
	a     engine.Attention
	e     *Engine
	rope  ropeTable
	scale float32

	ld   int // elements from row to row of what is Time wide
	q, k []float32
	v    []float32 // [Time][HeadDim], as q and k
	kT   []float32 // [HeadDim][ld]
	s    []float32 // scores, then weights, [rowBlock][ld]

	vT, ds, dq, dk, dv []float32 // for the gradient
}

// newHead lays the matrices out in the worker's scratch memory and fills in keys and values.
func (e *Engine) newHead(xs []float32, a engine.Attention, rope ropeTable, worker, task int, gradient bool) head {
	h := head{group: layout(a, task), a: a, e: e, rope: rope, scale: float32(1 / math.Sqrt(float64(a.HeadDim))), ld: oddLines(a.Time)}
	tall, block := a.Time*a.HeadDim, rowBlock*h.ld
	sizes := []int{tall, tall, tall, a.HeadDim * h.ld, block}
	if gradient {
		sizes = append(sizes, a.HeadDim*h.ld, block, tall, tall, tall)
	}
	mem := e.scratch[worker].take(sizes...)
	h.q, h.k, h.v, h.kT, h.s = mem[0], mem[1], mem[2], mem[3], mem[4]
	if gradient {
		h.vT, h.ds, h.dq, h.dk, h.dv = mem[5], mem[6], mem[7], mem[8], mem[9]
		e.k.Transpose(&h.vT[0], h.ld, &xs[h.group.v], h.width, a.Time, a.HeadDim)
		clear(h.dk)
		clear(h.dv)
	}
	rope.rotate(&e.k, h.k, a.HeadDim, xs[h.group.k:], h.width, a.Time, rope.sin, 1)
	e.k.Transpose(&h.kT[0], h.ld, &h.k[0], a.HeadDim, a.Time, a.HeadDim)
	e.k.CopyRows(&h.v[0], a.HeadDim, &xs[h.group.v], h.width, a.Time, a.HeadDim)
	return h
}

// Attend: a block of query rows meets all keys up to its end, is turned into weights row by row, and meets the values.
func (e *Engine) Attend(y, lse, qkv engine.Buf, a engine.Attention) {
	ys, ls, xs, rope := f32(y), f32(lse), f32(qkv), e.rope(a)
	e.team.each(a.Batch*a.KVHeads, func(worker, task int) {
		h := e.newHead(xs, a, rope, worker, task, false)
		for i := range h.queries {
			rope.rotate(&e.k, h.q, a.HeadDim, xs[h.group.q+i*a.HeadDim:], h.width, a.Time, rope.sin, h.scale)
			out, logs := ys[h.out+i*a.HeadDim:], ls[h.row+i*a.Time:]
			for lo := 0; lo < a.Time; lo += rowBlock {
				h.attend(out, logs, lo, min(lo+rowBlock, a.Time))
			}
		}
	})
}

// attend handles the query rows [lo, hi).
func (h *head) attend(out, logs []float32, lo, hi int) {
	k, d := &h.e.k, h.a.HeadDim
	h.scores(lo, hi)
	var sums [rowBlock]float32
	for t := lo; t < hi; t++ {
		row := h.s[(t-lo)*h.ld:][:hi]
		top := k.Max(row[:t+1])
		sum := k.ExpSum(row[:t+1], row[:t+1], top)
		clear(row[t+1:])
		logs[t], sums[t-lo] = top+float32(math.Log(float64(sum))), sum
	}
	k.Tiles.Product(hi-lo, d, hi, upright(h.s, h.ld), &h.v[0], d, &out[lo*h.outWidth], h.outWidth, false)
	for t := lo; t < hi; t++ {
		row := out[t*h.outWidth:][:d]
		k.Scale(row, row, 1/sums[t-lo])
	}
}

// scores: s = q·kᵀ for the query rows [lo, hi) and the keys [0, hi).
func (h *head) scores(lo, hi int) {
	d := h.a.HeadDim
	h.e.k.Tiles.Product(hi-lo, hi, d, upright(h.q[lo*d:], d), &h.kT[0], h.ld, &h.s[0], h.ld, false)
}

// AttendGrad makes the weights again from the scores and lse. A task owns its columns of dqkv.
func (e *Engine) AttendGrad(dqkv, dy, y, lse, qkv engine.Buf, a engine.Attention) {
	dxs, gs, ys, ls, xs, rope := f32(dqkv), f32(dy), f32(y), f32(lse), f32(qkv), e.rope(a)
	e.team.each(a.Batch*a.KVHeads, func(worker, task int) {
		h, d := e.newHead(xs, a, rope, worker, task, true), a.HeadDim
		for i := range h.queries {
			rope.rotate(&e.k, h.q, d, xs[h.group.q+i*d:], h.width, a.Time, rope.sin, h.scale)
			out, dout, logs := ys[h.out+i*d:], gs[h.out+i*d:], ls[h.row+i*a.Time:]
			for lo := 0; lo < a.Time; lo += rowBlock {
				h.gradient(out, dout, logs, lo, min(lo+rowBlock, a.Time))
			}
			rope.rotate(&e.k, dxs[h.group.q+i*d:], h.width, h.dq, d, a.Time, rope.back, h.scale)
		}
		rope.rotate(&e.k, dxs[h.group.k:], h.width, h.dk, d, a.Time, rope.back, 1)
		e.k.CopyRows(&dxs[h.group.v], h.width, &h.dv[0], d, a.Time, d)
	})
}

// gradient handles the query rows [lo, hi): dv += pᵀ·dy, dq = ds·k, dk += dsᵀ·q with ds = p·(dy·vᵀ − dy·y).
func (h *head) gradient(out, dout, logs []float32, lo, hi int) {
	k, d, n := &h.e.k, h.a.HeadDim, hi-lo
	dy := &dout[lo*h.outWidth]
	h.scores(lo, hi)
	k.Tiles.Product(n, hi, d, kernels.Operand{Data: dy, Row: h.outWidth, Col: 1}, &h.vT[0], h.ld, &h.ds[0], h.ld, false)
	for t := lo; t < hi; t++ {
		p, ds := h.s[(t-lo)*h.ld:][:hi], h.ds[(t-lo)*h.ld:][:hi]
		mean := k.Dot(dout[t*h.outWidth:][:d], out[t*h.outWidth:][:d])
		k.SoftmaxGrad(ds[:t+1], p[:t+1], logs[t], mean)
		clear(p[t+1:])
		clear(ds[t+1:])
	}
	k.Tiles.Product(hi, d, n, turned(h.s, h.ld), dy, h.outWidth, &h.dv[0], d, true)
	k.Tiles.Product(n, d, hi, upright(h.ds, h.ld), &h.k[0], d, &h.dq[lo*d], d, false)
	k.Tiles.Product(hi, d, n, turned(h.ds, h.ld), &h.q[lo*d], d, &h.dk[0], d, true)
}

// group says where the numbers of one key head of one sequence lie.
type group struct {
	queries        int // query heads that share the key head
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
		queries: n, width: width, outWidth: a.Heads * d,
		q: first + kv*n*d, k: first + (a.Heads+kv)*d, v: first + (a.Heads+a.KVHeads+kv)*d,
		out: b*a.Time*a.Heads*d + kv*n*d, row: (b*a.Heads + kv*n) * a.Time,
	}
}

// upright and turned are a matrix with rows ld elements apart as a left factor, as it is and transposed.
func upright(x []float32, ld int) kernels.Operand {
	return kernels.Operand{Data: &x[0], Row: ld, Col: 1}
}
func turned(x []float32, ld int) kernels.Operand {
	return kernels.Operand{Data: &x[0], Row: 1, Col: ld}
}

// oddLines is n rounded up to an odd number of cache lines: rows that far apart do not crowd into a few of the
// cache's sets.
func oddLines(n int) int {
	const line = 16 // elements
	return (ceil(n, line) | 1) * line
}
