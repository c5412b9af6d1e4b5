package cuda

import (
	"github.com/skein-train/skein/trainer/engine"
)

// matrix is a stored matrix as products read it: bfloat16, rows ld elements apart, ld a multiple of 8 and addr one of 16.
type matrix struct {
	addr uintptr
	ld   int
}

// product is C[m,n] = op(A)·op(B), or C + op(A)·op(B) where C is an F32.
type product struct {
	form    form
	m, n, k int
	a, b    matrix
	c       engine.Buf
	ldc     int // elements from row to row of c
	add     bool
}

// form says how A and B are stored: A [m,k] or turned, [k,m]; B [k,n] or turned, [n,k].
type form int

const (
	nt form = iota // y = x·wᵀ
	nn             // dx = dy·w
	tn             // dw = dyᵀ·x
)

// cut is how a product is shared out among blocks: tiles as wide as that, of the sizes in gemm.cu, and k in parts. It depends
// on the shapes only, as the order of sums does.
type cut struct{ wide, parts int }

func (c cut) high() int { return min(c.wide, 128) }

// busy is how many blocks keep a large GPU busy. A constant: the GPU at hand must not decide on the order of sums.
const busy = 128

// shortest is how many terms a part has at least, as it is written and read once more.
const shortest = 1024

// cutOf takes the largest tile of which there are enough. A product with few tiles and a long k, such as the gradient of a
// weight, is cut along k.
func cutOf(p product) cut {
	if ceil(p.m, 128)*ceil(p.n, 256) >= 4*busy {
		return cut{256, 1}
	}
	tiles, parts := ceil(p.m, 128)*ceil(p.n, 128), 1
	if p.ldc == p.n {
		parts = max(1, min(2*busy/tiles, p.k/shortest))
	}
	if tiles*parts < busy/2 {
		return cut{64, parts}
	}
	return cut{128, parts}
}

// mostParts is the most bytes that the parts of a product take of which no side is longer.
func mostParts(m, n, k int) int64 {
	if k < 2*shortest {
		return 0
	}
	return 4 * min(int64(k/shortest)*int64(m)*int64(n), 2*busy*128*128)
}

var gemms = [3]map[int]string{
	nt: {64: "gemm_nt_64", 128: "gemm_nt_128", 256: "gemm_nt_256"},
	nn: {64: "gemm_nn_64", 128: "gemm_nn_128", 256: "gemm_nn_256"},
	tn: {64: "gemm_tn_64", 128: "gemm_tn_128", 256: "gemm_tn_256"},
}

// multiply queues a product, with cuBLASLt if the engine has it and it takes the product.
func (e *Engine) multiply(p product) {
	switch {
	case p.m == 0 || p.n == 0:
	case p.k == 0:
		if !p.add {
			e.Zero(p.c)
		}
	case !e.multiplyByLibrary(p):
		e.multiplyCut(p, cutOf(p))
	}
}

// multiplyCut queues a product that is not empty, with our own kernels.
func (e *Engine) multiplyCut(p product, c cut) {
	const depth, stages = 32, 4 // as in gemm.cu
	team := 128
	if c.wide == 256 {
		team = 256
	}
	run := func(to engine.Buf, ld, parts, part int, add bool) {
		grid := blocks(ceil(p.m, c.high()) * ceil(p.n, c.wide) * parts)
		e.launch(gemms[p.form][c.wide], grid, team, stages*(c.high()+c.wide)*depth*2, at(to), address(p.a.addr), address(p.b.addr),
			i32(p.m), i32(p.n), i32(p.k), i32(p.a.ld), i32(p.b.ld), i32(ld), i32(part), how(to, ld, add))
	}
	part := ceil(ceil(p.k, c.parts), depth) * depth
	parts := ceil(p.k, part)
	if parts == 1 {
		run(p.c, p.ldc, 1, part, p.add)
		return
	}
	if p.ldc != p.n {
		panic("engine: a product in parts has rows without gaps")
	}
	sums := e.buf(&e.slots.parts, parts*p.m*p.n, engine.F32)
	run(sums, p.n, parts, part, false)
	e.launch("gemm_sum", spread(p.m*p.n, 8), flat, 0, at(p.c), at(sums), i32(parts), i64(p.m*p.n), how(p.c, p.n, p.add))
}

// how tells a kernel the way to store: see tile.h.
func how(c engine.Buf, ld int, add bool) arg {
	bits := 0
	if c.Type == engine.BF16 {
		bits = 1
	}
	if inLines(c, ld) {
		bits |= 2
	}
	if add {
		bits |= 4
	}
	return i32(bits)
}

// inLines tells whether rows of c, ld elements apart, begin at multiples of 16 bytes.
func inLines(c engine.Buf, ld int) bool {
	size := 4
	if c.Type == engine.BF16 {
		size = 2
	}
	return c.Addr%16 == 0 && ld*size%16 == 0
}

// half tells a kernel that b is a BF16.
func half(b engine.Buf) arg {
	if b.Type == engine.BF16 {
		return i32(1)
	}
	return i32(0)
}

func address(p uintptr) arg { return arg{uint64(p), isAddress} }

// operand is b, rows×cols without gaps, as products read it: where it lies if it can be, else copied to room.
func (e *Engine) operand(b engine.Buf, rows, cols int, room *slot) matrix {
	b = b.Slice(0, rows*cols)
	if b.Type == engine.BF16 && cols%8 == 0 && b.Addr%16 == 0 {
		return matrix{b.Addr, cols}
	}
	e.copied(b)
	return e.narrow(b, rows, cols, e.room(room, narrowed(rows, cols)))
}

// narrow copies b to memory of narrowed(rows, cols) bytes.
func (e *Engine) narrow(b engine.Buf, rows, cols int, to uintptr) matrix {
	m := matrix{to, ceil(cols, 8) * 8}
	if rows*cols > 0 {
		e.launch("gemm_operand", spread(rows*m.ld, 8), flat, 0, address(m.addr), at(b), half(b), i32(cols), i32(rows), i32(cols), i32(m.ld))
	}
	return m
}

func narrowed(rows, cols int) int64 { return 2 * int64(rows) * int64(ceil(cols, 8)*8) }

// Refresh rounds the master to bfloat16.
func (e *Engine) Refresh(w *engine.Weight, _ int) {
	f, ok := w.Form.(*matrix)
	if !ok {
		var own slot // which the weight keeps
		f = &matrix{addr: e.room(&own, narrowed(w.Out, w.In))}
		w.Form = f
	}
	*f = e.narrow(w.Master, w.Out, w.In, f.addr)
}

// weight is w as products read it.
func (e *Engine) weight(w *engine.Weight) matrix {
	if f, ok := w.Form.(*matrix); ok {
		return *f
	}
	return e.operand(w.Master, w.Out, w.In, &e.slots.weight)
}

// Linear: y = x·wᵀ.
func (e *Engine) Linear(y, x engine.Buf, w *engine.Weight, n int) {
	e.multiply(product{form: nt, m: n, n: w.Out, k: w.In, a: e.operand(x, n, w.In, &e.slots.left), b: e.weight(w), c: y, ldc: w.Out})
}

// LinearBack: dx = dy·w.
func (e *Engine) LinearBack(dx, dy engine.Buf, w *engine.Weight, n int) {
	e.multiply(product{form: nn, m: n, n: w.In, k: w.Out, a: e.operand(dy, n, w.Out, &e.slots.left), b: e.weight(w), c: dx, ldc: w.In})
}

// LinearGrad: dw = dyᵀ·x, or dw + dyᵀ·x.
func (e *Engine) LinearGrad(dw, dy, x engine.Buf, n, out, in int, accumulate bool) {
	e.multiply(product{form: tn, m: out, n: in, k: n, a: e.operand(dy, n, out, &e.slots.left), b: e.operand(x, n, in, &e.slots.right),
		c: dw, ldc: in, add: accumulate})
}

// MatMul multiplies large matrices on tensor cores, each factor as a sum of two bfloat16, which keeps 16 bits of 24, and small
// ones in F32.
func (e *Engine) MatMul(c, a, b engine.Buf, transA, transB bool, m, n, k int, accumulate bool) {
	if !onTensorCores(m, n, k) || transA && transB {
		e.matmul(c, a, b, transA, transB, m, n, k, accumulate)
		return
	}
	p := product{form: nn, m: m, n: n, k: 3 * ceil(k, 8) * 8, c: c, ldc: n, add: accumulate}
	switch {
	case transA:
		p.form = tn
	case transB:
		p.form = nt
	}
	const second, third = 1, 2
	p.a = e.split(a, transA, m, k, third, &e.slots.left)
	p.b = e.split(b, !transB, n, k, second, &e.slots.right)
	e.multiply(p)
}

// split is a factor with three times the terms, the low parts at the given place: see gemm.cu. It has `size` rows of k
// terms, or lies: k rows of size.
func (e *Engine) split(x engine.Buf, lies bool, size, k, place int, room *slot) matrix {
	terms := ceil(k, 8) * 8
	rows, cols, tall, wide := size, k, size, terms
	ld, second := 3*terms, terms
	if lies {
		rows, cols, tall, wide = k, size, terms, ceil(size, 8)*8
		ld, second = wide, terms*wide
	}
	m := matrix{e.room(room, splitBytes(tall, wide)), ld}
	e.launch("gemm_split", spread(tall*wide, 8), flat, 0, address(m.addr), at(x), i32(rows), i32(cols), i32(tall), i32(wide), i32(ld),
		i64(second), i32(place))
	return m
}

// splitBytes is the room for a factor of that size with three times the terms.
func splitBytes(rows, cols int) int64 { return 3 * narrowed(ceil(rows, 8)*8, cols) }

// onTensorCores tells whether MatMul takes a product of that size apart: if it fills a small tile in each direction.
func onTensorCores(m, n, k int) bool { return min(m, n, k) >= 64 }

func (e *Engine) matmul(c, a, b engine.Buf, transA, transB bool, m, n, k int, accumulate bool) {
	const tile, team = 128, 256 // as in gemm.cu
	if m == 0 || n == 0 {
		return
	}
	ai, ap := strides(transA, m, k)
	bp, bj := strides(transB, k, n)
	e.launch("matmul", blocks(ceil(m, tile)*ceil(n, tile)), team, 0, at(c), at(a), at(b), i32(m), i32(n), i32(k),
		i64(ai), i64(ap), i64(bp), i64(bj), how(c, n, accumulate))
}

// strides are the steps along the first and the second index of op(X), [rows, cols].
func strides(trans bool, rows, cols int) (first, second int) {
	if trans {
		return 1, rows
	}
	return cols, 1
}
