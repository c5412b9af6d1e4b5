package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tile writes the matrix product's innermost part: rows × two registers of C stay in registers while k runs. For each
// k two registers of B are read, and each of the rows' elements of A is spread over a register and multiplied in.
func tile(m machine, rows int) {
	f := m.begin(fmt.Sprintf("tile%d", rows),
		"func(k int, a *float32, aRow, aCol int, b *float32, bRow int, c *float32, cRow, cols int, accumulate bool)",
		fmt.Sprintf("C = A·B or C + A·B for %d rows and cols ≤ %d columns", rows, 2*m.lanes))
	k := build.Load(build.Param("k"), build.GP64())
	a := newRows(rows, "a", "aRow")
	step := elements("aCol")
	b, bStep := build.Load(build.Param("b"), build.GP64()), elements("bRow")
	on := f.columns()

	sums := make([][2]vec, rows)
	for i := range sums {
		sums[i] = [2]vec{f.zero(), f.zero()}
	}
	accumulate := build.Load(build.Param("accumulate"), build.GP8())
	build.TESTB(accumulate, accumulate)
	build.JZ(operand.LabelRef("test"))
	f.eachRow(rows, func(i int, at operand.Mem) {
		for half := range 2 {
			f.loadOn(on[half], f.half(at, half), sums[i][half])
		}
	})
	build.JMP(operand.LabelRef("test"))

	build.Label("step")
	right := [2]vec{f.vector(), f.vector()}
	for half := range 2 {
		f.loadOn(on[half], f.half(operand.Mem{Base: b}, half), right[half])
	}
	for i := range rows {
		left := f.vector()
		build.VBROADCASTSS(a.at(i), left)
		f.addMul(sums[i][0], left, right[0])
		f.addMul(sums[i][1], left, right[1])
	}
	a.advance(step)
	build.ADDQ(bStep, b)
	build.SUBQ(operand.Imm(1), k)
	build.Label("test")
	build.TESTQ(k, k)
	build.JNZ(operand.LabelRef("step"))

	f.eachRow(rows, func(i int, at operand.Mem) {
		for half := range 2 {
			f.storeOn(on[half], sums[i][half], f.half(at, half))
		}
	})
	f.end()
}

// rowPointers address a few rows of a matrix: one pointer every three rows, as an operand can add the stride once or twice.
type rowPointers struct {
	bases  []reg.GPVirtual
	stride reg.Register
}

func newRows(rows int, base, stride string) rowPointers {
	r := rowPointers{stride: elements(stride)}
	for i := 0; i < rows; i += 3 {
		p := build.GP64()
		if i == 0 {
			build.Load(build.Param(base), p)
		} else {
			last := r.bases[len(r.bases)-1]
			build.LEAQ(operand.Mem{Base: last, Index: r.stride, Scale: 2}, p)
			build.ADDQ(r.stride, p)
		}
		r.bases = append(r.bases, p)
	}
	return r
}

func (r rowPointers) at(i int) operand.Mem {
	m := operand.Mem{Base: r.bases[i/3]}
	if i%3 != 0 {
		m.Index, m.Scale = r.stride, uint8(i%3)
	}
	return m
}

func (r rowPointers) advance(step reg.Register) {
	for _, p := range r.bases {
		build.ADDQ(step, p)
	}
}

// elements loads a parameter that counts float32 and makes it bytes.
func elements(name string) reg.Register {
	v := build.Load(build.Param(name), build.GP64())
	build.SHLQ(operand.Imm(2), v)
	return v
}

// eachRow visits the rows of C in order.
func (f *function) eachRow(rows int, visit func(i int, at operand.Mem)) {
	c, stride := build.GP64(), elements("cRow")
	build.Load(build.Param("c"), c)
	for i := range rows {
		visit(i, operand.Mem{Base: c})
		if i < rows-1 {
			build.ADDQ(stride, c)
		}
	}
}

// half is the place of the first or the second register of a row.
func (f *function) half(m operand.Mem, half int) operand.Mem {
	m.Disp += 4 * f.lanes * half
	return m
}

// columns are the masks of the two registers of a row that has as many columns as the parameter cols says.
func (f *function) columns() [2]reg.Register {
	cols := build.Load(build.Param("cols"), build.GP64())
	if f.wide {
		set := build.GP64()
		build.MOVQ(operand.I64(-1), set)
		build.BZHIQ(cols, set, set)
		low, high := build.K(), build.K()
		build.KMOVW(set.As32(), low)
		build.SHRQ(operand.Imm(16), set)
		build.KMOVW(set.As32(), high)
		return [2]reg.Register{low, high}
	}
	count, low, high := f.vector(), f.vector(), f.vector()
	build.VMOVD(cols.(reg.GP).As32(), count.AsX())
	build.VPBROADCASTD(count.AsX(), count)
	build.VPCMPGTD(laneNumbers(0), count, low)
	build.VPCMPGTD(laneNumbers(8), count, high)
	return [2]reg.Register{low, high}
}

// laneNumbers counts the lanes up from first.
func laneNumbers(first int) operand.Mem {
	return global(fmt.Sprintf("laneNumbers%d", first), func() {
		for i := range 16 {
			build.DATA(4*i, operand.U32(uint32(first+i)))
		}
	})
}

func (f *function) loadOn(on reg.Register, m operand.Mem, v vec) {
	if f.wide {
		build.VMOVUPS_Z(m, on, v)
		return
	}
	build.VMASKMOVPS(m, on, v)
}

func (f *function) storeOn(on reg.Register, v vec, m operand.Mem) {
	if f.wide {
		build.VMOVUPS(v, on, m)
		return
	}
	build.VMASKMOVPS(v, on, m)
}
