package gradients

// grid cuts one tensor into chunks of h rows and w columns, row after row of chunks. Only in a grid of a single row may
// the last chunk be shorter.
type grid struct {
	off, rows, cols int // the tensor's first element in the fragment, and its shape
	h, w            int
	count           int // values that a whole chunk sends
	last            int // values that the last one sends, if it is shorter
}

// runs cuts a tensor, flattened, into runs of n elements that send count values each; a shorter one sends as many
// if it has them.
func runs(t Tensor, count, n int) grid {
	g := grid{off: t.Off, rows: 1, cols: t.Len(), h: 1, w: n, count: count}
	g.last = min(count, g.cols%n)
	return g
}

// tiles cuts a matrix into tiles whose sides are the largest divisors of its own up to side, and anything else, flattened,
// into runs that long, as the public codes of DeMo and SparseLoCo do. count tells how many values a chunk of n elements sends.
func tiles(t Tensor, side int, count func(n int) int) grid {
	g := grid{off: t.Off, rows: 1, cols: t.Len(), h: 1}
	if len(t.Shape) == 2 {
		g.rows, g.cols = t.Shape[0], t.Shape[1]
		g.h = divisor(g.rows, side)
	}
	g.w = divisor(g.cols, side)
	g.count = count(g.h * g.w)
	return g
}

// divisor is the largest divisor of n up to most.
func divisor(n, most int) int {
	d := min(n, most)
	for n%d != 0 {
		d--
	}
	return d
}

// sent is the number of values that the tensor sends.
func (g grid) sent() int {
	n := g.rows / g.h * (g.cols / g.w) * g.count
	if g.cols%g.w != 0 {
		n += g.last
	}
	return n
}

// chunk is one chunk of a grid.
type chunk struct {
	off    int // its first element in the fragment
	h, w   int
	stride int // from row to row
	count  int // values that it sends
}

func (c chunk) len() int { return c.h * c.w }

// chunks yields the chunks in order.
func (g grid) chunks(yield func(chunk) bool) {
	for y := 0; y < g.rows; y += g.h {
		for x := 0; x < g.cols; x += g.w {
			c := chunk{off: g.off + y*g.cols + x, h: g.h, w: g.w, stride: g.cols, count: g.count}
			if g.cols-x < g.w {
				c.w, c.count = g.cols-x, g.last
			}
			if !yield(c) {
				return
			}
		}
	}
}

// load returns the chunk's elements of v, row after row: a part of v itself if they lie end to end, otherwise a copy in buf.
func (c chunk) load(v, buf Vec) Vec {
	if c.h == 1 || c.w == c.stride {
		return v[c.off : c.off+c.len()]
	}
	for y := range c.h {
		copy(buf[y*c.w:(y+1)*c.w], v[c.off+y*c.stride:])
	}
	return buf[:c.len()]
}

// store undoes load.
func (c chunk) store(v, buf Vec) {
	for y := range c.h {
		copy(v[c.off+y*c.stride:c.off+y*c.stride+c.w], buf[y*c.w:])
	}
}

// place is where in the fragment the chunk's i-th element lies.
func (c chunk) place(i int) uint32 {
	if c.h == 1 || c.w == c.stride {
		return uint32(c.off + i)
	}
	return uint32(c.off + i/c.w*c.stride + i%c.w)
}
