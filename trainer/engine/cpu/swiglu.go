package cpu

import "github.com/skein-train/skein/trainer/engine"

// SwiGLU: rows are independent.
func (e *Engine) SwiGLU(y, gu engine.Buf, n, f int) {
	ys, gus := e.view(y), e.view(gu)
	e.team.spans(n, f, func(w *worker, lo, hi int) {
		tmp := w.take(f, f, f)
		for i := lo; i < hi; i++ {
			out := ys.room(i*f, f, tmp[0])
			e.k.SwiGLU(out, gus.read(2*i*f, f, tmp[1]), gus.read((2*i+1)*f, f, tmp[2]))
			ys.put(i*f, out)
		}
	})
}

// SwiGLUGrad: rows are independent.
func (e *Engine) SwiGLUGrad(dgu, dy, gu engine.Buf, n, f int) {
	ds, gs, gus := e.view(dgu), e.view(dy), e.view(gu)
	e.team.spans(n, f, func(w *worker, lo, hi int) {
		tmp := w.take(f, f, f, f, f)
		for i := lo; i < hi; i++ {
			gate, up := 2*i*f, (2*i+1)*f
			dgate, dup := ds.room(gate, f, tmp[0]), ds.room(up, f, tmp[1])
			e.k.SwiGLUGrad(dgate, dup, gs.read(i*f, f, tmp[2]), gus.read(gate, f, tmp[3]), gus.read(up, f, tmp[4]))
			ds.put(gate, dgate)
			ds.put(up, dup)
		}
	})
}
