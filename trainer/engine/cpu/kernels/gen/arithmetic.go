package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
)

// Arithmetic on registers. Each result is a new register; the assembler's allocator reuses what is dead.

func (f *function) add(a, b vec) vec { return f.op(build.VADDPS, a, b) }
func (f *function) sub(a, b vec) vec { return f.op(build.VSUBPS, a, b) }
func (f *function) mul(a, b vec) vec { return f.op(build.VMULPS, a, b) }
func (f *function) div(a, b vec) vec { return f.op(build.VDIVPS, a, b) }

func (f *function) op(instruction func(...operand.Op), a, b vec) vec {
	v := f.vector()
	instruction(b, a, v)
	return v
}

func (f *function) sqrt(a vec) vec {
	v := f.vector()
	build.VSQRTPS(a, v)
	return v
}

// addMul: sum += a·b. subMul: sum −= a·b. Both overwrite sum and return it.
func (f *function) addMul(sum, a, b vec) vec { build.VFMADD231PS(b, a, sum); return sum }
func (f *function) subMul(sum, a, b vec) vec { build.VFNMADD231PS(b, a, sum); return sum }

func (f *function) zero() vec {
	v := f.vector()
	build.VXORPS(v.AsY(), v.AsY(), v.AsY())
	return v
}

func (f *function) zeros(n int) []vec {
	vs := make([]vec, n)
	for i := range vs {
		vs[i] = f.zero()
	}
	return vs
}

// constant is x in every lane, loaded once.
func (f *function) constant(x float32) vec {
	v := f.vector()
	build.VMOVUPS(memory(x), v)
	return v
}

// exponential prepares what exp needs in registers and returns exp: e^x, 0 below −87, +Inf above 88.8 (from 88.3 on with AVX2), NaN for NaN.
//
// e^x = 2^k·2^f with k whole and |f| ≤ ½. The reduction works with log2(e) in two parts and fused products, so it is
// exact to the last place; 2^f is the series Σ (f·ln 2)^n/n!, short of 2e-7.
func (f *function) exponential() func(x vec) vec {
	top := f.constant(89)
	high := float32(math.Log2E)
	low := float32(math.Log2E - float64(high))
	return func(x vec) vec {
		x = f.op(build.VMINPS, top, x) // in this order NaN stays
		k, fr, p := f.vector(), f.vector(), f.vector()
		build.VMULPS(memory(high), x, k)
		f.round(k)
		build.VMOVAPS(x, fr)
		build.VFMSUB132PS(memory(high), k, fr)
		build.VFMADD231PS(memory(low), x, fr)
		build.VMOVUPS(memory(series[len(series)-1]), p)
		for i := len(series) - 2; i >= 0; i-- {
			build.VFMADD213PS(memory(series[i]), fr, p)
		}
		return f.scalePower(p, k, x)
	}
}

var series = []float32{1, 0.69314718, 0.24022651, 0.05550411, 0.009618129, 0.0013333558, 0.00015403530} // ln(2)^n/n!

func (f *function) round(v vec) {
	if f.wide {
		build.VRNDSCALEPS(operand.Imm(0), v, v)
		return
	}
	build.VROUNDPS(operand.Imm(0), v, v)
}

// scalePower is p·2^k, or 0 where x < −87.
func (f *function) scalePower(p, k, x vec) vec {
	const notLess = operand.U8(5) // and true for NaN
	if f.wide {
		keep := build.K()
		build.VCMPPS(notLess, memory(-87), x, keep)
		build.VSCALEFPS_Z(k, p, keep, p)
		return p
	}
	keep := f.vector()
	build.VCMPPS(notLess, memory(-87), x, keep)
	build.VCVTPS2DQ(k, k)
	build.VPADDD(memory(math.Float32frombits(127)), k, k)
	build.VPSLLD(operand.Imm(23), k, k)
	build.VMULPS(k, p, p)
	build.VANDPS(keep, p, p)
	return p
}

// sigmoid prepares and returns σ(x) = 1/(1+e^−x).
func (f *function) sigmoid(one vec) func(x vec) vec {
	exp, zero := f.exponential(), f.zero()
	return func(x vec) vec { return f.div(one, f.add(one, exp(f.sub(zero, x)))) }
}

// sum folds the registers, then the lanes, into the lowest lane of the first.
func (f *function) sum(vs []vec) vec { return f.fold(vs, build.VADDPS) }

// largest does the same with the maximum.
func (f *function) largest(vs []vec) vec { return f.fold(vs, build.VMAXPS) }

func (f *function) fold(vs []vec, op func(...operand.Op)) vec {
	v := f.foldRegisters(vs, op)
	half := build.YMM()
	if f.wide {
		build.VEXTRACTF64X4(operand.Imm(1), v, half)
		op(half, v.AsY(), v.AsY())
	}
	build.VEXTRACTF128(operand.Imm(1), v.AsY(), half.AsX())
	op(half.AsX(), v.AsX(), v.AsX())
	for _, swap := range []operand.U8{0x4e, 0xb1} { // halves, then neighbours
		build.VPERMILPS(swap, v.AsX(), half.AsX())
		op(half.AsX(), v.AsX(), v.AsX())
	}
	return v
}

func (f *function) foldRegisters(vs []vec, op func(...operand.Op)) vec {
	for n := len(vs); n > 1; n /= 2 {
		for i := range n / 2 {
			op(vs[i+n/2], vs[i], vs[i])
		}
	}
	return vs[0]
}

// globals holds the constants written so far: a cache line each, so that they serve as operands of any width.
var globals = map[string]operand.Mem{}

// memory is a constant with x in every lane.
func memory(x float32) operand.Mem {
	name := fmt.Sprintf("lanes%08x", math.Float32bits(x))
	return global(name, func() {
		for i := range 16 {
			build.DATA(4*i, operand.U32(math.Float32bits(x)))
		}
	})
}

// bits is a constant with the same bits in every lane.
func bits(x uint32) operand.Mem { return memory(math.Float32frombits(x)) }

// maskTable is eight lanes on, then eight off: eight lanes read from n before the middle have the lowest n on.
func maskTable() operand.Mem {
	return global("laneMasks", func() {
		for i := range 16 {
			build.DATA(4*i, operand.U32(map[bool]uint32{true: math.MaxUint32}[i < 8]))
		}
	})
}

func global(name string, fill func()) operand.Mem {
	m, ok := globals[name]
	if !ok {
		m = build.GLOBL(name, attr.RODATA|attr.NOPTR)
		fill()
		globals[name] = m
	}
	return m
}
