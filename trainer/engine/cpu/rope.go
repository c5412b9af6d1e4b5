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

// rotate writes scale times the rotated rows of src to dst, one row a position; rows lie stride elements apart.
func (t ropeTable) rotate(k *kernels.Set, dst []float32, dstStride int, src []float32, srcStride, time int, sin []float32, scale float32) {
	h := t.half
	for pos := range time {
		d, s := dst[pos*dstStride:pos*dstStride+2*h], src[pos*srcStride:pos*srcStride+2*h]
		k.Rotate(d[:h], d[h:], s[:h], s[h:], t.cos[pos*h:pos*h+h], sin[pos*h:pos*h+h], scale)
	}
}
