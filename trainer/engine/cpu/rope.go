package cpu

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
)

type ropeKey struct {
	time, headDim int
	base          float64
}

// ropeTable holds the cosines and sines of every position, [Time][HeadDim/2].
type ropeTable struct {
	half           int
	cos, sin, back []float32 // back is −sin: the rotation back
}

// rope returns the table for these sizes, made once.
func (e *Engine) rope(a engine.Attention) ropeTable {
	key := ropeKey{a.Time, a.HeadDim, a.RopeBase}
	if t, ok := e.ropes[key]; ok {
		return t
	}
	half := a.HeadDim / 2
	t := ropeTable{half, make([]float32, a.Time*half), make([]float32, a.Time*half), make([]float32, a.Time*half)}
	for i := range half {
		step := math.Pow(a.RopeBase, -2*float64(i)/float64(a.HeadDim))
		for pos := range a.Time {
			sin, cos := math.Sincos(float64(pos) * step)
			j := pos*half + i
			t.cos[j], t.sin[j], t.back[j] = float32(cos), float32(sin), float32(-sin)
		}
	}
	e.ropes[key] = t
	return t
}

// rotate writes scale times the rotated rows of src to dst, one row a position; rows lie dstRow and srcRow elements
// apart. sin is t.sin, or t.back to rotate back.
func (t ropeTable) rotate(k *kernels.Set, dst []float32, dstRow int, src []float32, srcRow, time int, sin []float32, scale float32) {
	k.Rotate(&dst[0], dstRow, &src[0], srcRow, &t.cos[0], &sin[0], time, t.half, scale)
}
