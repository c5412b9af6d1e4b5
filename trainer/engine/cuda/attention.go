package cuda

import (
	"fmt"
	"math"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// MaxHeadDim is the widest head that attention has kernels for. Head dimensions are even.
const MaxHeadDim = 128

// heads is what the kernels of one attention are given.
type heads struct {
	engine.Attention
	wide int // columns of a rotated head: HeadDim rounded up
	passes
	rope ropeTable
	q, k engine.Buf // rotated
	v    columns
}

// passes are a set of kernels for heads of one width, with what attention.cu says of their tiles.
type passes struct {
	attend, keys, queries string
	own                   int // rows of a block
}

var passesOf = map[int]passes{
	32:  {"attend_32", "attend_keys_32", "attend_queries_32", 128},
	64:  {"attend_64", "attend_keys_64", "attend_queries_64", 128},
	128: {"attend_128", "attend_keys_128", "attend_queries_128", 64},
}

// columns are the heads of a packed matrix of bfloat16: a row is ld elements, a head in it each. addr and both are multiples of 8 elements.
type columns struct {
	addr     uintptr
	ld, each int
}

const attentionTeam = 128 // threads of a block, as in attention.cu

// heads prepares attention over qkv, or fails.
func (e *Engine) heads(qkv engine.Buf, a engine.Attention) (heads, bool) {
	if a.HeadDim > MaxHeadDim || a.HeadDim%2 != 0 {
		e.fail(fmt.Errorf("heads of %d: attention has kernels for even numbers up to %d; choose other model.heads", a.HeadDim, MaxHeadDim))
	}
	if e.err != nil || a.Batch*a.Time == 0 {
		return heads{}, false
	}
	h := heads{Attention: a, wide: wideOf(a.HeadDim)}
	h.passes = passesOf[h.wide]
	h.rope = e.rope(a)
	d := a.HeadDim
	h.q = e.rotate(&e.slots.q, qkv, 0, a.Heads, h)
	h.k = e.rotate(&e.slots.k, qkv, a.Heads*d, a.KVHeads, h)
	h.v = e.columns(&e.slots.v, qkv, (a.Heads+a.KVHeads)*d, (a.Heads+2*a.KVHeads)*d, a.KVHeads, a)
	return h, e.err == nil
}

// wideOf is how many columns a rotated head of d has.
func wideOf(d int) int {
	wide := 32
	for wide < d {
		wide *= 2
	}
	return wide
}

// rotate copies `count` heads from column `first` of packed rows on, rotated by their position.
func (e *Engine) rotate(to *slot, qkv engine.Buf, first, count int, h heads) engine.Buf {
	rows, ld := h.Batch*h.Time, (h.Heads+2*h.KVHeads)*h.HeadDim
	y := e.buf(to, rows*count*h.wide, engine.BF16)
	e.launch("attend_rotate", spread(rows*count*h.wide, 16), flat, 0, at(y), at(qkv.Slice(first, qkv.Len)), half(qkv), i32(ld), i32(rows),
		i32(count), i32(h.HeadDim), i32(h.wide), i32(h.Time), at(h.rope.cos), at(h.rope.sin))
	return y
}

// columns are `count` heads from column `first` of rows of ld elements on: where they lie if kernels can read them there, else
// a copy.
func (e *Engine) columns(to *slot, x engine.Buf, first, ld, count int, a engine.Attention) columns {
	d, x := a.HeadDim, x.Slice(first, x.Len)
	if x.Type == engine.BF16 && d%8 == 0 && x.Addr%16 == 0 {
		return columns{x.Addr, ld, d}
	}
	e.copied(x)
	rows, wide := a.Batch*a.Time, ceil(d, 8)*8
	y := e.buf(to, rows*count*wide, engine.BF16)
	e.launch("attend_rotate", spread(rows*count*wide, 8), flat, 0, at(y), at(x), half(x), i32(ld), i32(rows),
		i32(count), i32(d), i32(wide), i32(a.Time), at(engine.Buf{}), at(engine.Buf{}))
	return columns{y.Addr, count * wide, wide}
}

// Attend implements engine.Engine for heads of an even number of columns up to MaxHeadDim.
func (e *Engine) Attend(y, lse, qkv engine.Buf, a engine.Attention) {
	h, ok := e.heads(qkv, a)
	if !ok {
		return
	}
	const step = 64 // keys of a tile
	grid := driver.Dim{X: ceil(a.Time, h.own), Y: a.Batch * a.Heads, Z: 1}
	e.launch(h.attend, grid, attentionTeam, (h.own+4*step)*h.wide*2, at(y), at(lse), at(h.q), at(h.k),
		address(h.v.addr), i32(h.v.ld), i32(h.v.each), i32(a.Time), i32(a.Heads), i32(a.KVHeads), i32(a.HeadDim), f32(h.scale()), how(y, a.HeadDim, false))
}

// AttendGrad implements engine.Engine for heads as in Attend.
func (e *Engine) AttendGrad(dqkv, dy, y, lse, qkv engine.Buf, a engine.Attention) {
	h, ok := e.heads(qkv, a)
	if !ok {
		return
	}
	rows, d := a.Batch*a.Time, a.HeadDim
	g := e.columns(&e.slots.dy, dy, 0, a.Heads*d, a.Heads, a)
	mean := e.buf(&e.slots.mean, rows*a.Heads, engine.F32)
	e.launch("attend_mean", blocks(ceil(rows*a.Heads, flat/32)), flat, 0, at(mean), address(g.addr), at(y), half(y), i32(g.ld), i32(g.each),
		i32(rows), i32(a.Time), i32(a.Heads), i32(d))

	const step = 32 // rows of a tile of the other side
	pass := func(kernel string, heads, shared int) {
		grid := driver.Dim{X: ceil(a.Time, h.own), Y: a.Batch * heads, Z: 1}
		e.launch(kernel, grid, attentionTeam, shared, at(dqkv), at(h.q), at(h.k), address(h.v.addr), address(g.addr), at(lse), at(mean),
			at(h.rope.cos), at(h.rope.sin), i32(h.v.ld), i32(h.v.each), i32(g.ld), i32(g.each), i32(a.Time), i32(a.Heads), i32(a.KVHeads), i32(d),
			f32(h.scale()), how(dqkv, d/2, false))
	}
	tiles := (2*h.own + 4*step) * h.wide * 2
	pass(h.keys, a.KVHeads, tiles+4*step*4)
	pass(h.queries, a.Heads, tiles)
}

func (h heads) scale() float32 { return float32(1 / math.Sqrt(float64(h.HeadDim))) }

type ropeKey struct {
	time, headDim int
	base          float64
}

// ropeTable holds the cosines and sines of every position, [Time, HeadDim/2].
type ropeTable struct{ cos, sin engine.Buf }

// rope returns the table for these sizes, made and uploaded once.
func (e *Engine) rope(a engine.Attention) ropeTable {
	key := ropeKey{a.Time, a.HeadDim, a.RopeBase}
	if t, ok := e.ropes[key]; ok {
		return t
	}
	half := a.HeadDim / 2
	cos, sin := make([]float32, a.Time*half), make([]float32, a.Time*half)
	for i := range half {
		step := math.Pow(a.RopeBase, -2*float64(i)/float64(a.HeadDim))
		for pos := range a.Time {
			s, c := math.Sincos(float64(pos) * step)
			cos[pos*half+i], sin[pos*half+i] = float32(c), float32(s)
		}
	}
	t := ropeTable{e.Alloc(len(cos)), e.Alloc(len(sin))}
	e.Upload(t.cos, cos)
	e.Upload(t.sin, sin)
	e.ropes[key] = t
	return t
}
