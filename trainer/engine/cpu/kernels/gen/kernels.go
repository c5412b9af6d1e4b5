package main

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels. What each computes is defined in the package that they are written for.

func add(m machine) {
	f := m.begin("add", "func(z, x, y []float32)", "z = x + y")
	p := f.slices("z", "x", "y")
	f.each("z", 4, func(int) { f.store(p[0], f.add(f.load(p[1]), f.load(p[2]))) })
	f.end()
}

func mix(m machine) {
	f := m.begin("mix", "func(z, x, y []float32, a, b float32)", "z = a·x + b·y")
	p, a, b := f.slices("z", "x", "y"), f.scalar("a"), f.scalar("b")
	f.each("z", 4, func(int) { f.store(p[0], f.addMul(f.mul(a, f.load(p[1])), b, f.load(p[2]))) })
	f.end()
}

func scale(m machine) {
	f := m.begin("scale", "func(y, x []float32, a float32)", "y = a·x")
	p, a := f.slices("y", "x"), f.scalar("a")
	f.each("y", 4, func(int) { f.store(p[0], f.mul(a, f.load(p[1]))) })
	f.end()
}

func dot(m machine) {
	f := m.begin("dot", "func(x, y []float32) float32", "Σ x·y")
	p, sums := f.slices("x", "y"), f.zeros(4)
	f.each("x", 4, func(u int) { f.addMul(sums[u], f.load(p[0]), f.load(p[1])) })
	f.endWith(f.sum(sums))
}

func sumSquares(m machine) {
	f := m.begin("sumSquares", "func(x []float32) float64", "Σ x² in float64")
	x, sums := f.slice("x"), f.zeros(4)
	f.each("x", 2, func(u int) {
		for i, half := range f.doubles(f.load(x)) {
			build.VFMADD231PD(half, half, sums[2*u+i])
		}
	})
	f.endWith(f.sumDoubles(sums))
}

func maximum(m machine) {
	f := m.begin("maximum", "func(x []float32) float32", "the largest element")
	x, least := f.slice("x"), f.constant(float32(math.Inf(-1)))
	tops := f.zeros(4)
	for _, t := range tops {
		build.VMOVAPS(least, t)
	}
	f.each("x", 4, func(u int) { build.VMAXPS(f.loadOr(x, least), tops[u], tops[u]) })
	f.endWith(f.largest(tops))
}

func sumExp(m machine) {
	f := m.begin("sumExp", "func(x []float32, shift float32) float32", "Σ exp(x − shift)")
	x, shift, none := f.slice("x"), f.scalar("shift"), f.constant(float32(math.Inf(-1)))
	exp, sums := f.exponential(), f.zeros(2)
	f.each("x", 2, func(u int) {
		build.VADDPS(exp(f.sub(f.loadOr(x, none), shift)), sums[u], sums[u])
	})
	f.endWith(f.sum(sums))
}

func expSum(m machine) {
	f := m.begin("expSum", "func(y, x []float32, shift float32) float32", "y = exp(x − shift), and Σ y")
	p, shift, none := f.slices("y", "x"), f.scalar("shift"), f.constant(float32(math.Inf(-1)))
	exp, sums := f.exponential(), f.zeros(2)
	f.each("y", 2, func(u int) {
		v := exp(f.sub(f.loadOr(p[1], none), shift))
		f.store(p[0], v)
		build.VADDPS(v, sums[u], sums[u])
	})
	f.endWith(f.sum(sums))
}

func expScale(m machine) {
	f := m.begin("expScale", "func(y, x []float32, shift, a float32)", "y = a·exp(x − shift)")
	p, shift, a := f.slices("y", "x"), f.scalar("shift"), f.scalar("a")
	exp := f.exponential()
	f.each("y", 2, func(int) { f.store(p[0], f.mul(a, exp(f.sub(f.load(p[1]), shift)))) })
	f.end()
}

func softmaxGrad(m machine) {
	f := m.begin("softmaxGrad", "func(dp, p []float32, lse, mean float32)", "p = exp(p − lse), dp = p·(dp − mean)")
	s, lse, mean := f.slices("dp", "p"), f.scalar("lse"), f.scalar("mean")
	exp := f.exponential()
	f.each("dp", 2, func(int) {
		p := exp(f.sub(f.load(s[1]), lse))
		f.store(s[1], p)
		f.store(s[0], f.mul(p, f.sub(f.load(s[0]), mean)))
	})
	f.end()
}

func norm(m machine) {
	f := m.begin("norm", "func(y, x, w []float32, r float32)", "y = x·r·w")
	p, r := f.slices("y", "x", "w"), f.scalar("r")
	f.each("y", 4, func(int) { f.store(p[0], f.mul(f.mul(f.load(p[1]), r), f.load(p[2]))) })
	f.end()
}

func normGradSums(m machine) {
	f := m.begin("normGradSums", "func(dw, dy, x, w []float32, r float32) float32", "dw += dy·x·r, and Σ dy·x·w")
	p, r, sums := f.slices("dw", "dy", "x", "w"), f.scalar("r"), f.zeros(2)
	f.each("dw", 2, func(u int) {
		t := f.mul(f.load(p[1]), f.load(p[2]))
		f.store(p[0], f.addMul(f.load(p[0]), t, r))
		f.addMul(sums[u], t, f.load(p[3]))
	})
	f.endWith(f.sum(sums))
}

func normGrad(m machine) {
	f := m.begin("normGrad", "func(dx, dy, x, w []float32, r, c float32)", "dx = dy·w·r − x·c")
	p, r, c := f.slices("dx", "dy", "x", "w"), f.scalar("r"), f.scalar("c")
	f.each("dx", 2, func(int) {
		f.store(p[0], f.subMul(f.mul(f.mul(f.load(p[1]), f.load(p[3])), r), f.load(p[2]), c))
	})
	f.end()
}

func normGradAdd(m machine) {
	f := m.begin("normGradAdd", "func(dx, dy, x, w, skip []float32, r, c float32)", "dx = dy·w·r − x·c + skip")
	p, r, c := f.slices("dx", "dy", "x", "w", "skip"), f.scalar("r"), f.scalar("c")
	f.each("dx", 2, func(int) {
		around := f.subMul(f.load(p[4]), f.load(p[2]), c)
		f.store(p[0], f.addMul(around, f.mul(f.load(p[1]), f.load(p[3])), r))
	})
	f.end()
}

func swiglu(m machine) {
	f := m.begin("swiglu", "func(y, gate, up []float32)", "y = gate·σ(gate)·up")
	p := f.slices("y", "gate", "up")
	sigmoid := f.sigmoid(f.constant(1))
	f.each("y", 2, func(int) {
		g := f.load(p[1])
		f.store(p[0], f.mul(f.mul(g, sigmoid(g)), f.load(p[2])))
	})
	f.end()
}

func swigluGrad(m machine) {
	f := m.begin("swigluGrad", "func(dgate, dup, dy, gate, up []float32)", "with s = σ(gate): dup = dy·gate·s, dgate = dy·up·s·(1 + gate·(1−s))")
	p := f.slices("dgate", "dup", "dy", "gate", "up")
	one := f.constant(1)
	sigmoid := f.sigmoid(one)
	f.each("dgate", 1, func(int) {
		g := f.load(p[3])
		s := sigmoid(g)
		ds := f.mul(f.load(p[2]), s)
		slope := f.addMul(f.mul(g, f.sub(one, s)), one, one)
		du := f.mul(f.mul(ds, f.load(p[4])), slope)
		f.store(p[1], f.mul(ds, g))
		f.store(p[0], du)
	})
	f.end()
}

func rotate(m machine) {
	f := m.begin("rotate", "func(dst *float32, dstRow int, src *float32, srcRow int, cos, sin *float32, rows, half int, a float32)",
		"per row a·(lo·cos − hi·sin, lo·sin + hi·cos)")
	width := elements("half")
	dlo, dhi := halves("dst", width)
	lo, hi := halves("src", width)
	cos, sin := pointer("cos"), pointer("sin")
	a, rows, n := f.scalar("a"), build.Load(build.Param("rows"), build.GP64()), build.GP64()
	dstRow, srcRow := elements("dstRow"), elements("srcRow")
	build.Label("row")
	build.Load(build.Param("half"), n)
	f.upTo(n, 1, func(int) {
		lo, hi := f.mul(a, f.load(lo)), f.mul(a, f.load(hi))
		cos, sin := f.load(cos), f.load(sin)
		f.store(dlo, f.subMul(f.mul(lo, cos), hi, sin))
		f.store(dhi, f.addMul(f.mul(lo, sin), hi, cos))
	})
	advance(dstRow, dlo, dhi)
	advance(srcRow, lo, hi)
	advance(width, cos, sin)
	build.SUBQ(operand.Imm(1), rows)
	build.JNZ(operand.LabelRef("row"))
	f.end()
}

func copyRows(m machine) {
	f := m.begin("copyRows", "func(dst *float32, dstRow int, src *float32, srcRow int, rows, cols int)", "dst[i,j] = src[i,j]")
	dst, src, rows, n := pointer("dst"), pointer("src"), build.Load(build.Param("rows"), build.GP64()), build.GP64()
	dstRow, srcRow := elements("dstRow"), elements("srcRow")
	build.Label("row")
	build.Load(build.Param("cols"), n)
	f.upTo(n, 2, func(int) { f.store(dst, f.load(src)) })
	advance(dstRow, dst)
	advance(srcRow, src)
	build.DECQ(rows)
	build.JNZ(operand.LabelRef("row"))
	f.end()
}

func pointer(name string) array { return array{base: build.Load(build.Param(name), build.GP64())} }

// halves are the two halves of a row that starts at a pointer parameter.
func halves(name string, width reg.Register) (lo, hi array) {
	lo, hi = pointer(name), array{base: build.GP64()}
	build.LEAQ(operand.Mem{Base: lo.base, Index: width, Scale: 1}, hi.base)
	return lo, hi
}

func advance(step reg.Register, arrays ...array) {
	for _, a := range arrays {
		build.ADDQ(step, a.base)
	}
}

func adamW(m machine) {
	f := m.begin("adamW", "func(p, g, m, v []float32, s *float32)", "one step; s points to the nine scalars of AdamW")
	p := f.slices("p", "g", "m", "v")
	s := f.fields("s", 9)
	scale, beta1, rest1, beta2, rest2, keep, rate, correct2, eps := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8]
	f.each("p", 1, func(int) {
		g := f.mul(scale, f.load(p[1]))
		m := f.addMul(f.mul(beta1, f.load(p[2])), rest1, g)
		v := f.addMul(f.mul(beta2, f.load(p[3])), f.mul(rest2, g), g)
		f.store(p[2], m)
		f.store(p[3], v)
		step := f.div(f.mul(rate, m), f.add(f.sqrt(f.mul(v, correct2)), eps))
		f.store(p[0], f.sub(f.mul(keep, f.load(p[0])), step))
	})
	f.end()
}

// fields are the float32 fields of a struct parameter, each in every lane.
func (f *function) fields(name string, n int) []vec {
	base := build.Load(build.Param(name), build.GP64())
	vs := make([]vec, n)
	for i := range vs {
		vs[i] = f.vector()
		build.VBROADCASTSS(operand.Mem{Base: base, Disp: 4 * i}, vs[i])
	}
	return vs
}

// doubles is v as float64 in two registers.
func (f *function) doubles(v vec) [2]vec {
	low, high := f.vector(), f.vector()
	if f.wide {
		build.VCVTPS2PD(v.AsY(), low)
		build.VEXTRACTF64X4(operand.Imm(1), v, high.AsY())
		build.VCVTPS2PD(high.AsY(), high)
	} else {
		build.VCVTPS2PD(v.AsX(), low)
		build.VEXTRACTF128(operand.Imm(1), v, high.AsX())
		build.VCVTPS2PD(high.AsX(), high)
	}
	return [2]vec{low, high}
}

// sumDoubles is sum for registers of float64.
func (f *function) sumDoubles(vs []vec) vec {
	v := f.foldRegisters(vs, build.VADDPD)
	half := build.YMM()
	if f.wide {
		build.VEXTRACTF64X4(operand.Imm(1), v, half)
		build.VADDPD(half, v.AsY(), v.AsY())
	}
	build.VEXTRACTF128(operand.Imm(1), v.AsY(), half.AsX())
	build.VADDPD(half.AsX(), v.AsX(), v.AsX())
	build.VPERMILPD(operand.Imm(1), v.AsX(), half.AsX())
	build.VADDPD(half.AsX(), v.AsX(), v.AsX())
	return v
}
