package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// widen and narrow convert between rows of bfloat16 and rows of float32.

func widen(m machine) {
	f := m.begin("widen", "func(dst *float32, dstRow int, src *uint16, srcRow int, rows, cols int)", "dst[i,j] = src[i,j], bfloat16 to float32")
	dst, src := pointer("dst"), halfPointer("src")
	f.convert(dst, src, elements("dstRow"), halfElements("srcRow"), func() {
		v := f.vector()
		switch {
		case !f.masked:
			build.VPMOVZXWD(f.at(src), v)
		case f.wide:
			build.VPMOVZXWD_Z(f.at(src), f.lanesOn, v)
		default:
			x := build.GP32()
			build.MOVWLZX(f.at(src), x)
			build.VMOVD(x, v.AsX())
		}
		build.VPSLLD(operand.Imm(16), v, v)
		if f.masked && !f.wide {
			build.VMOVSS(v.AsX(), f.at(dst))
			return
		}
		f.store(dst, v)
	})
}

func narrow(m machine) {
	f := m.begin("narrow", "func(dst *uint16, dstRow int, src *float32, srcRow int, rows, cols int)",
		"dst[i,j] = src[i,j], float32 to bfloat16, to nearest, ties to even, a NaN stays one")
	dst, src := halfPointer("dst"), pointer("src")
	f.convert(dst, src, halfElements("dstRow"), elements("srcRow"), func() {
		switch {
		case f.wide && f.masked:
			build.VPMOVDW(f.rounded(f.load(src)), f.lanesOn, f.at(dst))
		case f.wide:
			build.VPMOVDW(f.rounded(f.load(src)), f.at(dst))
		case f.masked:
			x, v := build.GP32(), f.vector()
			build.VMOVSS(f.at(src), v.AsX())
			build.VMOVD(f.rounded(v).AsX(), x)
			build.MOVW(x.As16(), f.at(dst))
		default:
			v, high := f.rounded(f.load(src)), f.vector()
			build.VEXTRACTI128(operand.Imm(1), v, high.AsX())
			build.VPACKUSDW(high.AsX(), v.AsX(), v.AsX())
			build.VMOVUPS(v.AsX(), f.at(dst))
		}
	})
}

// rounded is the upper halves of x, rounded, in the lower halves of the lanes.
func (f *function) rounded(x vec) vec {
	upper, v := f.vector(), f.vector()
	build.VPSRLD(operand.Imm(16), x, upper)
	if f.wide {
		build.VPANDD(bits(1), upper, v)
		build.VPADDD(x, v, v)
		build.VPADDD(bits(0x7fff), v, v)
		build.VPSRLD(operand.Imm(16), v, v)
		nan := build.K()
		build.VCMPPS(unordered, x, x, nan)
		build.VPORD(bits(0x40), upper, nan, v)
		return v
	}
	build.VPAND(bits(1), upper, v)
	build.VPADDD(x, v, v)
	build.VPADDD(bits(0x7fff), v, v)
	build.VPSRLD(operand.Imm(16), v, v)
	nan := f.vector()
	build.VCMPPS(unordered, x, x, nan)
	build.VPOR(bits(0x40), upper, upper)
	build.VBLENDVPS(nan, upper, v, v)
	return v
}

const unordered = operand.U8(3)

// convert writes the loop over rows and columns. Sixteen-bit elements have no masked loads in AVX2: there, f.masked
// stands for a single element.
func (f *function) convert(dst, src array, dstRow, srcRow reg.Register, body func()) {
	rows, n := build.Load(build.Param("rows"), build.GP64()), build.GP64()
	build.Label("row")
	build.Load(build.Param("cols"), n)
	if f.wide {
		f.upTo(n, 2, func(int) { body() })
	} else {
		f.upToSingly(n, body)
	}
	advance(dstRow, dst)
	advance(srcRow, src)
	build.DECQ(rows)
	build.JNZ(operand.LabelRef("row"))
	f.end()
}

// upToSingly is upTo with the last elements one by one.
func (f *function) upToSingly(n reg.GPVirtual, body func()) {
	f.index = build.GP64()
	build.XORQ(f.index, f.index)
	f.loop(n, 2, "unrolled", func(int) { body() })
	f.loop(n, 1, "single", func(int) { body() })
	build.JMP(operand.LabelRef("lastTest"))
	build.Label("last")
	f.masked = true
	body()
	f.masked = false
	build.INCQ(f.index)
	build.Label("lastTest")
	build.CMPQ(f.index, n)
	build.JLT(operand.LabelRef("last"))
}

// halfPointer is a pointer to elements of two bytes, halfElements a parameter that counts them, made bytes.
func halfPointer(name string) array {
	a := pointer(name)
	a.half = true
	return a
}

func halfElements(name string) reg.Register {
	v := build.Load(build.Param(name), build.GP64())
	build.SHLQ(operand.Imm(1), v)
	return v
}
