package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// machine is an instruction set: its registers are lanes float32 wide.
type machine struct {
	suffix string
	lanes  int
	vector func() reg.VecVirtual
	wide   bool  // AVX-512: mask registers, VSCALEFPS
	tiles  []int // heights of the matrix product's tiles; two registers a row, most of the registers in the highest
}

var (
	avx512 = machine{"AVX512", 16, build.ZMM, true, []int{12, 8, 4, 2, 1}}
	avx2   = machine{"AVX2", 8, build.YMM, false, []int{6, 4, 2, 1}}
)

type vec = reg.VecVirtual

// function is one kernel being written: a loop over slices of equal length, a register of each at a time.
type function struct {
	machine
	index   reg.GPVirtual // elements done
	offset  int           // bytes behind index: the place within an unrolled step
	masked  bool          // in the tail: fewer than lanes elements are left
	lanesOn reg.Register  // which, while masked
}

// begin starts the kernel of that name with the Go signature.
func (m machine) begin(name, signature, doc string) *function {
	build.TEXT(name+m.suffix, build.NOSPLIT, signature)
	build.Doc(fmt.Sprintf("%s%s: %s", name, m.suffix, doc))
	build.Pragma("noescape")
	return &function{machine: m}
}

// end returns, with the upper halves cleared: Go's own float code is slow while they are in use.
func (f *function) end() {
	build.VZEROUPPER()
	build.RET()
}

// endWith returns the scalar in the lowest lane of v.
func (f *function) endWith(v vec) {
	build.VZEROUPPER()
	build.Store(v.AsX(), build.ReturnIndex(0))
	build.RET()
}

// array is a slice parameter.
type array struct {
	base reg.Register
	half bool // its elements have two bytes, not four
}

func (f *function) slice(name string) array {
	return array{base: build.Load(build.Param(name).Base(), build.GP64())}
}

func (f *function) slices(names ...string) []array {
	as := make([]array, len(names))
	for i, n := range names {
		as[i] = f.slice(n)
	}
	return as
}

// scalar is a float32 parameter in every lane.
func (f *function) scalar(name string) vec {
	addr, err := build.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := f.vector()
	build.VBROADCASTSS(addr.Addr, v)
	return v
}

// each writes the loop over the elements of the named slice. body handles one register; it is written several times:
// unroll times with u counting up (for as many independent sums), once for single registers, once masked for the tail.
func (f *function) each(name string, unroll int, body func(u int)) {
	n := build.GP64()
	build.Load(build.Param(name).Len(), n)
	f.upTo(n, unroll, body)
}

// upTo is each with the number of elements in a register, which it uses up.
func (f *function) upTo(n reg.GPVirtual, unroll int, body func(u int)) {
	f.index = build.GP64()
	build.XORQ(f.index, f.index)
	if unroll > 1 {
		f.loop(n, unroll, "unrolled", body)
	}
	f.loop(n, 1, "single", body)
	build.SUBQ(f.index, n)
	build.JE(operand.LabelRef("done"))
	f.mask(n)
	f.masked = true
	body(0)
	f.masked = false
	build.Label("done")
}

func (f *function) loop(n reg.Register, unroll int, label string, body func(u int)) {
	next := build.GP64()
	build.JMP(operand.LabelRef(label + "Test"))
	build.Label(label)
	for u := range unroll {
		f.offset = 4 * f.lanes * u
		body(u)
	}
	f.offset = 0
	build.ADDQ(operand.Imm(uint64(unroll*f.lanes)), f.index)
	build.Label(label + "Test")
	build.LEAQ(operand.Mem{Base: f.index, Disp: unroll * f.lanes}, next)
	build.CMPQ(next, n)
	build.JLE(operand.LabelRef(label))
}

// mask switches on the lowest n lanes, n < lanes.
func (f *function) mask(n reg.GPVirtual) {
	if f.wide {
		ones, k := build.GP32(), build.K()
		build.MOVL(operand.U32(math.MaxUint32), ones)
		build.BZHIL(n.As32(), ones, ones)
		build.KMOVW(ones, k)
		f.lanesOn = k
		return
	}
	table, v := build.GP64(), f.vector()
	build.LEAQ(maskTable(), table)
	build.NEGQ(n)
	build.VMOVUPS(operand.Mem{Base: table, Index: n, Scale: 4, Disp: 4 * f.lanes}, v)
	f.lanesOn = v
}

func (f *function) at(a array) operand.Mem {
	if a.half {
		return operand.Mem{Base: a.base, Index: f.index, Scale: 2, Disp: f.offset / 2}
	}
	return operand.Mem{Base: a.base, Index: f.index, Scale: 4, Disp: f.offset}
}

// load reads a register of a; lanes that are off are 0.
func (f *function) load(a array) vec {
	v := f.vector()
	switch {
	case !f.masked:
		build.VMOVUPS(f.at(a), v)
	case f.wide:
		build.VMOVUPS_Z(f.at(a), f.lanesOn, v)
	default:
		build.VMASKMOVPS(f.at(a), f.lanesOn, v)
	}
	return v
}

// loadOr is load with another value in the lanes that are off.
func (f *function) loadOr(a array, other vec) vec {
	v := f.load(a)
	switch {
	case !f.masked:
	case f.wide:
		build.VBLENDMPS(v, other, f.lanesOn, v)
	default:
		build.VBLENDVPS(f.lanesOn, v, other, v)
	}
	return v
}

func (f *function) store(a array, v vec) {
	switch {
	case !f.masked:
		build.VMOVUPS(v, f.at(a))
	case f.wide:
		build.VMOVUPS(v, f.lanesOn, f.at(a))
	default:
		build.VMASKMOVPS(v, f.lanesOn, f.at(a))
	}
}
