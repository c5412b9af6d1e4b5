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
	xs    view
	rope  ropeTable
	scale float32

	ld   int // elements from row to row of what is Time wide
	q, k []float32
	v    []float32 // [Time][HeadDim], as q and k
	kT   []float32 // [HeadDim][ld]
	s    []float32 // scores, then weights, [rowBlock][ld]

	y []float32 // a block of output rows, where y is a BF16

	vT, ds, dq, dk, dv, dy []float32 // for the gradient
}

// newHead lays the matrices out in the worker's scratch memory and fills in keys and values.
func (e *Engine) newHead(xs view, a engine.Attention, rope ropeTable, w *worker, task int, gradient bool) head {
	h := head{group: layout(a, task), a: a, e: e, xs: xs, rope: rope, scale: float32(1 / math.Sqrt(float64(a.HeadDim))), ld: oddLines(a.Time)}
	tall, block, few := a.Time*a.HeadDim, rowBlock*h.ld, rowBlock*a.HeadDim
	back := 0
	if gradient {
		back = 1
	}
	mem := w.take(tall, tall, tall, a.HeadDim*h.ld, block, few,
		back*a.HeadDim*h.ld, back*block, back*tall, back*tall, back*tall, back*few)
	h.q, h.k, h.v, h.kT, h.s, h.y = mem[0], mem[1], mem[2], mem[3], mem[4], mem[5]
	h.vT, h.ds, h.dq, h.dk, h.dv, h.dy = mem[6], mem[7], mem[8], mem[9], mem[10], mem[11]
	h.turn(h.k, h.group.k, 1)
	e.k.Transpose(&h.kT[0], h.ld, &h.k[0], a.HeadDim, a.Time, a.HeadDim)
	xs.copyTo(h.v, h.group.v, h.width, a.Time, a.HeadDim)
	if gradient {
		e.k.Transpose(&h.vT[0], h.ld, &h.v[0], a.HeadDim, a.Time, a.HeadDim)
		clear(h.dk)
		clear(h.dv)
	}
	return h
}

// turn copies the projection at that place, rotated and scaled.
func (h *head) turn(dst []float32, at int, scale float32) {
	x, row := h.xs.readRows(at, h.width, h.a.Time, h.a.HeadDim, dst)
	h.rope.rotate(&h.e.k, dst, h.a.HeadDim, x, row, h.a.Time, h.rope.sin, scale)
}

// turnBack stores a gradient, rotated back and scaled. It uses src up.
func (h *head) turnBack(dxs view, at int, src []float32, scale float32) {
	x, row := dxs.roomRows(at, h.width, h.a.HeadDim, src)
	h.rope.rotate(&h.e.k, x, row, src, h.a.HeadDim, h.a.Time, h.rope.back, scale)
	dxs.putRows(at, h.width, h.a.Time, h.a.HeadDim, src)
}

// Attend: a block of query rows meets all keys up to its end, is turned into weights row by row, and meets the values.
func (e *Engine) Attend(y, lse, qkv engine.Buf, a engine.Attention) {
	ys, ls, xs, rope := e.view(y), f32(lse), e.view(qkv), e.rope(a)
	e.team.each(a.Batch*a.KVHeads, func(w *worker, task int) {
		h := e.newHead(xs, a, rope, w, task, false)
		for i := range h.queries {
			h.turn(h.q, h.group.q+i*a.HeadDim, h.scale)
			for lo := 0; lo < a.Time; lo += rowBlock {
				h.attend(ys, ls[h.row+i*a.Time:], i, lo, min(lo+rowBlock, a.Time))
			}
		}
	})
}

// attend handles the query rows [lo, hi) of query head i.
func (h *head) attend(ys view, logs []float32, i, lo, hi int) {
	k, d, at := &h.e.k, h.a.HeadDim, h.outAt(i, lo)
	h.scores(lo, hi)
	var sums [rowBlock]float32
	for t := lo; t < hi; t++ {
		row := h.s[(t-lo)*h.ld:][:hi]
		top := k.Max(row[:t+1])
		sum := k.ExpSum(row[:t+1], row[:t+1], top)
		clear(row[t+1:])
		logs[t], sums[t-lo] = top+float32(math.Log(float64(sum))), sum
	}
	out, outRow := ys.roomRows(at, h.outWidth, d, h.y)
	k.Tiles.Product(hi-lo, d, hi, upright(h.s, h.ld), &h.v[0], d, &out[0], outRow, false)
	for t := range hi - lo {
		row := out[t*outRow:][:d]
		k.Scale(row, row, 1/sums[t])
	}
	ys.putRows(at, h.outWidth, hi-lo, d, out)
}

// scores: s = q·kᵀ for the query rows [lo, hi) and the keys [0, hi).
func (h *head) scores(lo, hi int) {
	d := h.a.HeadDim
	h.e.k.Tiles.Product(hi-lo, hi, d, upright(h.q[lo*d:], d), &h.kT[0], h.ld, &h.s[0], h.ld, false)
}

// AttendGrad makes the weights again from the scores and lse. A task owns its columns of dqkv.
func (e *Engine) AttendGrad(dqkv, dy, y, lse, qkv engine.Buf, a engine.Attention) {
	dxs, gs, ys, ls, xs, rope := e.view(dqkv), e.view(dy), e.view(y), f32(lse), e.view(qkv), e.rope(a)
	e.team.each(a.Batch*a.KVHeads, func(w *worker, task int) {
		h := e.newHead(xs, a, rope, w, task, true)
		for i := range h.queries {
			h.turn(h.q, h.group.q+i*a.HeadDim, h.scale)
			for lo := 0; lo < a.Time; lo += rowBlock {
				h.gradient(ys, gs, ls[h.row+i*a.Time:], i, lo, min(lo+rowBlock, a.Time))
			}
			h.turnBack(dxs, h.group.q+i*a.HeadDim, h.dq, h.scale)
		}
		h.turnBack(dxs, h.group.k, h.dk, 1)
		dxs.copyFrom(h.dv, h.group.v, h.width, a.Time, a.HeadDim)
	})
}

// gradient handles the query rows [lo, hi) of query head i: dv += pᵀ·dy, dq = ds·k, dk += dsᵀ·q with
// ds = p·(dy·vᵀ − dy·y).
func (h *head) gradient(ys, gs view, logs []float32, i, lo, hi int) {
	k, d, n, at := &h.e.k, h.a.HeadDim, hi-lo, h.outAt(i, lo)
	y, yRow := ys.readRows(at, h.outWidth, n, d, h.y)
	dy, dyRow := gs.readRows(at, h.outWidth, n, d, h.dy)
	h.scores(lo, hi)
	k.Tiles.Product(n, hi, d, upright(dy, dyRow), &h.vT[0], h.ld, &h.ds[0], h.ld, false)
	for t := lo; t < hi; t++ {
		p, ds := h.s[(t-lo)*h.ld:][:hi], h.ds[(t-lo)*h.ld:][:hi]
		mean := k.Dot(dy[(t-lo)*dyRow:][:d], y[(t-lo)*yRow:][:d])
		k.SoftmaxGrad(ds[:t+1], p[:t+1], logs[t], mean)
		clear(p[t+1:])
		clear(ds[t+1:])
	}
	k.Tiles.Product(hi, d, n, turned(h.s, h.ld), &dy[0], dyRow, &h.dv[0], d, true)
	k.Tiles.Product(n, d, hi, upright(h.ds, h.ld), &h.k[0], d, &h.dq[lo*d], d, false)
	k.Tiles.Product(hi, d, n, turned(h.ds, h.ld), &h.q[lo*d], d, &h.dk[0], d, true)
}

// outAt is where row t of query head i starts in y.
func (h *head) outAt(i, t int) int { return h.out + i*h.a.HeadDim + t*h.outWidth }

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
