package cuda

import (
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// Copy copies, converting where the types differ.
func (e *Engine) Copy(dst, src engine.Buf) {
	mustMatch("copy", dst.Len, src.Len)
	switch {
	case e.err != nil || dst.Len == 0 || dst == src:
	case dst.Type == src.Type:
		e.stats.Launches++
		e.fail(e.stream.Copy(dst.Addr, src.Addr, bytesOf(src)))
	default:
		s := shapeOf(dst.Len, operands(dst, src))
		e.launch("convert", spread(dst.Len, s.width), flat, 0, at(dst), at(src), i64(dst.Len), s.arg)
	}
}

// Add: z = x + y.
func (e *Engine) Add(z, x, y engine.Buf) { e.Mix(z, engine.Number(1), x, engine.Number(1), y) }

// Mix: z = a·x + b·y.
func (e *Engine) Mix(z engine.Buf, a engine.Scalar, x engine.Buf, b engine.Scalar, y engine.Buf) {
	s := shapeOf(z.Len, operands(z, x, y))
	e.launch("mix", spread(z.Len, s.width), flat, 0, at(z), f64(a.Value), at(a.At), at(x), f64(b.Value), at(b.At), at(y), i64(z.Len), s.arg)
}

const (
	flat     = 256  // threads of a block in kernels over flat vectors
	mostFlat = 4096 // blocks: more would not keep a GPU busier; each thread takes several parts
)

// spread is the grid of a kernel over n elements of which a thread takes width at a time.
func spread(n, width int) driver.Dim { return blocks(min(ceil(n, flat*width), mostFlat)) }
