package cuda

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// SumSquares adds up blocks of a fixed size, and then their sums, in float64. It waits for the result.
func (e *Engine) SumSquares(x engine.Buf) float64 {
	const block = 8192 // elements
	n := ceil(x.Len, block)
	parts := e.scratch(2 * (n + 1)) // float64; the last is the sum
	sum := parts.Slice(2*n, 2*n+2)
	e.launch("sum_squares", blocks(n), 256, 0, at(parts), at(x), i64(x.Len), i32(block))
	e.launch("sum_parts", blocks(1), 256, 0, at(sum), at(parts), i32(n))
	if e.err == nil {
		e.fail(e.stream.DownloadPinned(e.results, 0, sum.Addr, 8))
	}
	e.Wait()
	if e.err != nil {
		return math.NaN()
	}
	return math.Float64frombits(binary.NativeEndian.Uint64(e.results.Bytes()))
}

// ranges are those of AdamW's decay, as the kernel reads them: their ends in device memory.
type ranges struct {
	decay [][2]int
	ends  uintptr
}

// rangesOf uploads ranges when it sees them first: an optimizer has the same few in every step.
func (e *Engine) rangesOf(decay [][2]int) arg {
	i := slices.IndexFunc(e.ranges, func(r ranges) bool { return slices.Equal(r.decay, decay) })
	if i < 0 {
		i = len(e.ranges)
		r := ranges{decay: slices.Clone(decay)}
		ends := make([]uint64, 0, 2*len(decay))
		for _, d := range decay {
			ends = append(ends, uint64(d[0]), uint64(d[1]))
		}
		r.ends = e.Alloc(2 * len(ends)).Addr
		if e.err == nil {
			e.fail(driver.Upload(e.stream, r.ends, ends))
		}
		e.ranges = append(e.ranges, r)
	}
	return arg{uint64(e.ranges[i].ends), isAddress}
}

// AdamW: scalars are worked out in float64, once.
func (e *Engine) AdamW(p, g, m, v engine.Buf, decay [][2]int, s engine.AdamW) {
	if p.Len == 0 {
		return
	}
	first, second := 1-math.Pow(s.Beta1, float64(s.Count)), math.Sqrt(1-math.Pow(s.Beta2, float64(s.Count)))
	e.launch("adamw", spread(p.Len, 1), flat, 0, at(p), at(g), at(m), at(v), e.rangesOf(decay), i32(2*len(decay)), i64(p.Len), f32(s.Scale),
		f32(float32(s.Beta1)), f32(float32(1-s.Beta1)), f32(float32(s.Beta2)), f32(float32(1-s.Beta2)),
		f32(float32(s.LR*second/first)), f32(float32(s.Eps*second)), f32(float32(1-s.LR*s.WeightDecay)))
}
