package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
)

// square writes the transposition of lanes × lanes elements in registers: rows are interleaved with their neighbours,
// pairs with their neighbours, which makes pieces of four rows of a column; then the pieces find together.
func square(m machine) {
	f := m.begin("square", "func(dst *float32, dstRow int, src *float32, srcRow int)", "dst[j,i] = src[i,j] for as many rows and columns as a register has lanes")
	rows := make([]vec, m.lanes)
	f.rows("src", "srcRow", func(i int, at operand.Mem) {
		rows[i] = f.vector()
		build.VMOVUPS(at, rows[i])
	})
	columns := f.gatherPieces(f.interleave(rows))
	f.rows("dst", "dstRow", func(i int, at operand.Mem) { build.VMOVUPS(columns[i], at) })
	f.end()
}

// rows visits lanes rows behind a pointer parameter.
func (f *function) rows(base, stride string, visit func(i int, at operand.Mem)) {
	p, step := pointer(base), elements(stride)
	for i := range f.lanes {
		visit(i, operand.Mem{Base: p.base})
		build.ADDQ(step, p.base)
	}
}

// interleave returns registers whose piece (128 bits) p of number 4g+c holds rows 4g to 4g+3 of column 4p+c.
func (f *function) interleave(rows []vec) []vec {
	pieces := make([]vec, len(rows))
	for g := 0; g < len(rows); g += 4 {
		low, high := f.op(build.VUNPCKLPS, rows[g], rows[g+1]), f.op(build.VUNPCKHPS, rows[g], rows[g+1])
		low2, high2 := f.op(build.VUNPCKLPS, rows[g+2], rows[g+3]), f.op(build.VUNPCKHPS, rows[g+2], rows[g+3])
		pieces[g], pieces[g+1] = f.op(build.VUNPCKLPD, low, low2), f.op(build.VUNPCKHPD, low, low2)
		pieces[g+2], pieces[g+3] = f.op(build.VUNPCKLPD, high, high2), f.op(build.VUNPCKHPD, high, high2)
	}
	return pieces
}

// gatherPieces puts the pieces of each column side by side.
func (f *function) gatherPieces(u []vec) []vec {
	columns := make([]vec, len(u))
	for c := range 4 {
		if !f.wide {
			columns[c], columns[4+c] = f.pick(build.VPERM2F128, 0x20, u[c], u[4+c]), f.pick(build.VPERM2F128, 0x31, u[c], u[4+c])
			continue
		}
		const even, odd = 0x88, 0xdd // of the pieces
		v0, v1 := f.pick(build.VSHUFF32X4, even, u[c], u[4+c]), f.pick(build.VSHUFF32X4, odd, u[c], u[4+c])
		v2, v3 := f.pick(build.VSHUFF32X4, even, u[8+c], u[12+c]), f.pick(build.VSHUFF32X4, odd, u[8+c], u[12+c])
		columns[c], columns[8+c] = f.pick(build.VSHUFF32X4, even, v0, v2), f.pick(build.VSHUFF32X4, odd, v0, v2)
		columns[4+c], columns[12+c] = f.pick(build.VSHUFF32X4, even, v1, v3), f.pick(build.VSHUFF32X4, odd, v1, v3)
	}
	return columns
}

func (f *function) pick(instruction any, which uint8, a, b vec) vec {
	v := f.vector()
	switch do := instruction.(type) {
	case func(i, x, y, z operand.Op):
		do(operand.U8(which), b, a, v)
	case func(...operand.Op):
		do(operand.U8(which), b, a, v)
	}
	return v
}
