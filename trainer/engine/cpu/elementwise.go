package cpu

import (
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// Add: z = x + y.
func (e *Engine) Add(z, x, y engine.Buf) {
	zs, xs, ys := e.view(z), e.view(x), e.view(y)
	e.elements(z.Len, func(tmp pieces, at, n int) {
		out := zs.room(at, n, tmp[0])
		e.k.Add(out, xs.read(at, n, tmp[1]), ys.read(at, n, tmp[2]))
		zs.put(at, out)
	})
}

// Mix: z = s·x + t·y.
func (e *Engine) Mix(z engine.Buf, s engine.Scalar, x engine.Buf, t engine.Scalar, y engine.Buf) {
	a, b, ok := hostmem.Factors(s, t)
	if !ok {
		return
	}
	zs, xs, ys := e.view(z), e.view(x), e.view(y)
	e.elements(z.Len, func(tmp pieces, at, n int) {
		out := zs.room(at, n, tmp[0])
		e.k.Mix(out, xs.read(at, n, tmp[1]), ys.read(at, n, tmp[2]), a, b)
		zs.put(at, out)
	})
}

// Copy copies, converting where the types differ.
func (e *Engine) Copy(dst, src engine.Buf) {
	if dst.Type == src.Type {
		e.Memory.Copy(dst, src)
		return
	}
	to, from := e.view(dst), e.view(src)
	e.elements(dst.Len, func(tmp pieces, at, n int) {
		if from.half != nil {
			e.k.Widen(&to.wide[at], n, &from.half[at], n, 1, n)
		} else {
			e.k.Narrow(&to.half[at], n, &from.wide[at], n, 1, n)
		}
	})
}

// elements runs f on short ranges that make up [0, n), with three pieces of scratch memory as long.
func (e *Engine) elements(n int, f func(tmp pieces, at, n int)) {
	const short = 2048
	e.team.spans(n, 1, func(w *worker, lo, hi int) {
		tmp := w.take(short, short, short)
		for at := lo; at < hi; at += short {
			f(tmp, at, min(short, hi-at))
		}
	})
}

// Embed copies rows of the table.
func (e *Engine) Embed(y, table, ids engine.Buf, n, d int) {
	ys, ts, is := e.view(y), f32(table), i32(ids)
	e.team.spans(n, d, func(_ *worker, lo, hi int) {
		for i := lo; i < hi; i++ {
			row := ts[int(is[i])*d:][:d]
			copy(ys.room(i*d, d, row), row)
			ys.put(i*d, row)
		}
	})
}

// EmbedGrad shares the columns out, not the rows, so that each row of the table is added to in the order of i.
func (e *Engine) EmbedGrad(dtable, dy, ids engine.Buf, n, d int) {
	const cols = 64
	ts, gs, is := f32(dtable), e.view(dy), i32(ids)
	e.team.each(ceil(d, cols), func(w *worker, task int) {
		lo, hi := task*cols, min(d, (task+1)*cols)
		tmp := w.take(cols)[0]
		for i, id := range is[:n] {
			row := ts[int(id)*d+lo : int(id)*d+hi]
			e.k.Add(row, row, gs.read(i*d+lo, hi-lo, tmp))
		}
	})
}
