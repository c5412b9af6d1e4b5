package cuda

import (
	"slices"

	"github.com/skein-train/skein/trainer/engine"
)

// Normalise divides by the norm, which stays on the device.
func (e *Engine) Normalise(x engine.Buf, floor float64) {
	parts, n := e.squares(x)
	by := parts.Slice(n, n+1)
	e.launch("inverse_norm", blocks(1), sumTeam, 0, at(by), at(parts), i32(n), f64(floor))
	e.Mix(x, engine.Scalar{Value: 1, At: by}, x, engine.Number(0), x)
}

// Clip: see the kernel.
func (e *Engine) Clip(step, x, guard engine.Buf, limit float64) {
	parts, n := e.squares(x)
	e.launch("clip", blocks(1), sumTeam, 0, at(step), i32(step.Len), at(guard), at(parts), i32(n), f64(limit))
}

const sumTeam = 256 // threads of a block that adds up, as in flat.cu

// squares adds up x² over blocks of a fixed size, to n parts in F64; there is room for one more.
func (e *Engine) squares(x engine.Buf) (parts engine.Buf, n int) {
	n = ceil(x.Len, squareBlock)
	parts = e.buf(&e.slots.sums, squareParts(x.Len), engine.F64)
	e.launch("sum_squares", blocks(n), sumTeam, 0, at(parts), at(x), i64(x.Len), i32(squareBlock))
	return parts, n
}

const squareBlock = 8192 // elements whose squares a block adds up

// squareParts is how many sums the squares of n elements need, and one more for what is made of them.
func squareParts(n int) int { return ceil(n, squareBlock) + 1 }

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
		upload(e, r.ends, ends)
		e.ranges = append(e.ranges, r)
	}
	return arg{uint64(e.ranges[i].ends), isAddress}
}

// AdamW: see the kernel.
func (e *Engine) AdamW(p, g, m, v engine.Buf, decay [][2]int, s engine.AdamW) {
	if p.Len == 0 {
		return
	}
	e.launch("adamw", spread(p.Len, 1), flat, 0, at(p), at(g), at(m), at(v), e.rangesOf(decay), i32(2*len(decay)), i64(p.Len), at(s.Step),
		f32(float32(s.Beta1)), f32(float32(1-s.Beta1)), f32(float32(s.Beta2)), f32(float32(1-s.Beta2)), f64(s.Eps), f64(s.WeightDecay))
}
