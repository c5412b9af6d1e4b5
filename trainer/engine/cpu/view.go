package cpu

import (
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// view is a Buf as kernels for F32 read and write it: an F32 in place, a BF16 by way of a copy in tmp, which is as large as
// the part at hand. A part is n elements from at on, or rows of n elements that lie row elements apart.
type view struct {
	wide []float32
	half []uint16
	k    *kernels.Set
}

func (e *Engine) view(b engine.Buf) view {
	if b.Type == engine.BF16 {
		return view{half: hostmem.BFloat16(b), k: &e.k}
	}
	return view{wide: f32(b), k: &e.k}
}

// read is a part.
func (v view) read(at, n int, tmp []float32) []float32 {
	x, _ := v.readRows(at, n, 1, n, tmp)
	return x
}

// room is where to write a part. It holds anything; put has to follow.
func (v view) room(at, n int, tmp []float32) []float32 {
	x, _ := v.roomRows(at, n, n, tmp)
	return x[:n]
}

// put stores what was written to room.
func (v view) put(at int, x []float32) { v.putRows(at, len(x), 1, len(x), x) }

// readRows is a part of rows, and how far they lie apart.
func (v view) readRows(at, row, rows, n int, tmp []float32) (x []float32, apart int) {
	if v.half == nil {
		return v.wide[at : at+(rows-1)*row+n], row
	}
	v.k.Widen(&tmp[0], n, &v.half[at], row, rows, n)
	return tmp[:rows*n], n
}

func (v view) roomRows(at, row, n int, tmp []float32) (x []float32, apart int) {
	if v.half == nil {
		return v.wide[at:], row
	}
	return tmp, n
}

func (v view) putRows(at, row, rows, n int, x []float32) {
	if v.half != nil {
		v.k.Narrow(&v.half[at], row, &x[0], n, rows, n)
	}
}

// copyTo copies rows to dst, side by side, and copyFrom back.
func (v view) copyTo(dst []float32, at, row, rows, n int) {
	if v.half == nil {
		v.k.CopyRows(&dst[0], n, &v.wide[at], row, rows, n)
		return
	}
	v.k.Widen(&dst[0], n, &v.half[at], row, rows, n)
}

func (v view) copyFrom(src []float32, at, row, rows, n int) {
	if v.half == nil {
		v.k.CopyRows(&v.wide[at], row, &src[0], n, rows, n)
		return
	}
	v.putRows(at, row, rows, n, src)
}
