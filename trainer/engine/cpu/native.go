package cpu

import (
	"unsafe"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/blas"
)

// native computes layers with a library's products of bfloat16, for processors that have them. Operands that come as F32
// are rounded first.
type native struct {
	*Engine
	spare *packedHalf // for weights that were never refreshed
	left  *[2]scratch // operands rounded
}

func newNative(e *Engine) native { return native{e, &packedHalf{}, &[2]scratch{}} }

// packedHalf is a weight as the library likes it, in both directions.
type packedHalf struct{ forward, back scratch }

// refresh converts and packs the weight whatever its uses: every product would do it otherwise.
func (l native) refresh(w *engine.Weight, _ int) {
	f, ok := w.Form.(*packedHalf)
	if !ok {
		f = &packedHalf{}
		w.Form = f
	}
	l.pack(f, w)
}

func (l native) pack(f *packedHalf, w *engine.Weight) {
	l.team.each(2, func(wk *worker, task int) {
		if task == 0 {
			wk.half.Pack(l.room(wk.half, f, true, w), matrixOf(w.Master, true, w.In, w.Out).blas(), w.Out, w.In)
			return
		}
		wk.half.Pack(l.room(wk.half, f, false, w), matrixOf(w.Master, false, w.Out, w.In).blas(), w.In, w.Out)
	})
}

// room is the memory of one direction of a packed weight.
func (native) room(h blas.Half, f *packedHalf, forward bool, w *engine.Weight) unsafe.Pointer {
	if forward {
		return pointerTo(f.forward.take(ceil(h.PackedLen(w.Out, w.In), 4))[0])
	}
	return pointerTo(f.back.take(ceil(h.PackedLen(w.In, w.Out), 4))[0])
}

func (l native) packed(w *engine.Weight) *packedHalf {
	if f, ok := w.Form.(*packedHalf); ok {
		return f
	}
	l.pack(l.spare, w)
	return l.spare
}

func (l native) forward(y, x engine.Buf, w *engine.Weight, n int) {
	l.times(y, x, l.room(l.team[0].half, l.packed(w), true, w), n, w.Out, w.In)
}

func (l native) back(dx, dy engine.Buf, w *engine.Weight, n int) {
	l.times(dx, dy, l.room(l.team[0].half, l.packed(w), false, w), n, w.In, w.Out)
}

// times is C[n,out] = A[n,in]·B, B packed, by blocks of rows.
func (l native) times(c, a engine.Buf, b unsafe.Pointer, n, out, in int) {
	const rows = 256
	left, to := matrixOf(l.rounded(0, a), false, n, in), matrixOf(c, false, n, out)
	l.team.each(ceil(n, rows), func(w *worker, task int) {
		i := task * rows
		p := blas.Product{M: min(rows, n-i), N: out, K: in, StrideA: in, StrideC: out, WideC: c.Type == engine.F32, Packed: true}
		w.run(p, left.at(i, 0).data, b, to.at(i, 0).data)
	})
}

func (l native) grad(dw, dy, x engine.Buf, n, out, in int, accumulate bool) {
	a, b, c := matrixOf(l.rounded(0, dy), true, out, n), matrixOf(l.rounded(1, x), false, n, in), matrixOf(dw, false, out, in)
	block := side(out, in)
	across := ceil(in, block)
	l.team.each(ceil(out, block)*across, func(w *worker, task int) {
		i, j := task/across*block, task%across*block
		p := blas.Product{
			M: min(block, out-i), N: min(block, in-j), K: n,
			StrideA: a.stride, TransA: true, StrideB: b.stride, StrideC: c.stride, WideC: true, Accumulate: accumulate,
		}
		w.run(p, a.at(i, 0).data, b.at(0, j).data, c.at(i, j).data)
	})
}

func (w *worker) run(p blas.Product, a, b, c unsafe.Pointer) {
	w.half.Multiply(p, a, b, c, pointerTo(w.take(w.half.Scratch(p)/4 + 1)[0]))
}

// rounded is x as BF16, in scratch memory if it is none.
func (l native) rounded(which int, x engine.Buf) engine.Buf {
	if x.Type == engine.BF16 {
		return x
	}
	to := l.left[which].words(x.Len, engine.BF16)
	l.Copy(to, x)
	return to
}
