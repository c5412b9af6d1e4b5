package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tile writes the matrix product's innermost part: rows × two registers of C stay in registers while k runs. For each
// k two registers of B are read, and each of the rows' elements of A is spread over a register and multiplied in. The
// tiles of a strip follow one another, so that the processor starts one while it still stores the one before.
func tile(m machine, rows int) {
	f := m.begin(fmt.Sprintf("tile%d", rows),
		"func(times, k int, a *float32, aRow, aCol int, b *float32, bRow int, c *float32, cRow, cols int, accumulate bool)",
		fmt.Sprintf("C = A·B or C + A·B, times tiles of %d rows one below the other, cols ≤ %d columns", rows, 2*m.lanes))
	t := strip{function: f, rows: rows,
		times: build.Load(build.Param("times"), build.GP64()).(reg.GPVirtual),
		next:  build.Load(build.Param("a"), build.GP64()).(reg.GPVirtual),
		c:     build.Load(build.Param("c"), build.GP64()).(reg.GPVirtual),
		row:   elements("aRow"), step: elements("aCol"), bRow: elements("bRow"), cRow: elements("cRow"),
	}
	cols := build.Load(build.Param("cols"), build.GP64())
	build.CMPQ(cols, operand.Imm(uint64(2*m.lanes)))
	build.JL(operand.LabelRef("partly"))
	t.write("full")
	f.end()
	build.Label("partly")
	on := f.columns()
	t.on = &on
	t.write("part")
	f.end()
}

// strip is a loop over tiles.
type strip struct {
	*function
	rows                  int
	times, next, c        reg.GPVirtual    // tiles left; where A and C of the coming one start
	row, step, bRow, cRow reg.Register     // bytes from row to row of A, from column to column of A, from row to row of B and of C
	on                    *[2]reg.Register // the columns, nil: all; a masked load takes a slot from the products
}

func (t *strip) write(label string) {
	build.Label(label + "Tile")
	a := newRows(t.rows, t.next, t.row)
	t.prefetch()
	k, b := build.Load(build.Param("k"), build.GP64()), build.Load(build.Param("b"), build.GP64())
	sums := make([][2]vec, t.rows)
	for i := range sums {
		sums[i] = [2]vec{t.zero(), t.zero()}
	}
	build.IMUL3Q(operand.Imm(uint64(4*t.rows)), k, k) // counts bytes of A
	build.TESTQ(k, k)
	build.JZ(operand.LabelRef(label + "Summed"))

	build.Label(label + "Step")
	right := [2]vec{t.loadHalf(b, 0), t.loadHalf(b, 1)}
	for i := range t.rows {
		left := t.vector()
		build.VBROADCASTSS(a.at(i), left)
		t.addMul(sums[i][0], left, right[0])
		t.addMul(sums[i][1], left, right[1])
	}
	// The coming tile's part of A if its rows touch one another, and the rows of a transposed A that are eight steps ahead.
	build.PREFETCHT0(operand.Mem{Base: t.next, Index: k, Scale: 1})
	build.PREFETCHT0(operand.Mem{Base: a.bases[0], Index: t.step, Scale: 8})
	a.advance(t.step)
	build.ADDQ(t.bRow, b)
	build.SUBQ(operand.Imm(uint64(4*t.rows)), k)
	build.JNZ(operand.LabelRef(label + "Step"))

	build.Label(label + "Summed")
	t.writeRows(label, sums)
	build.DECQ(t.times)
	build.JNZ(operand.LabelRef(label + "Tile"))
}

// writeRows stores the sums to C, or adds them to it, and leaves c at the row below.
func (t *strip) writeRows(label string, sums [][2]vec) {
	accumulate := build.Load(build.Param("accumulate"), build.GP8())
	build.TESTB(accumulate, accumulate)
	build.JZ(operand.LabelRef(label + "Store"))
	at := build.GP64()
	build.MOVQ(t.c, at)
	for i := range sums {
		for half := range 2 {
			build.VADDPS(t.loadHalf(at, half), sums[i][half], sums[i][half])
		}
		build.ADDQ(t.cRow, at)
	}
	build.Label(label + "Store")
	for i := range sums {
		for half := range 2 {
			t.storeHalf(sums[i][half], t.c, half)
		}
		build.ADDQ(t.cRow, t.c)
	}
}

// prefetch asks for the rows of C that will be written after the last k: they are on their way while the sums are made.
func (t *strip) prefetch() {
	at := build.GP64()
	build.MOVQ(t.c, at)
	for range t.rows {
		build.PREFETCHT0(operand.Mem{Base: at})
		if t.wide {
			build.PREFETCHT0(operand.Mem{Base: at, Disp: 64})
		}
		build.ADDQ(t.cRow, at)
	}
}

// rowPointers address a few rows of a matrix: one pointer every four rows, as an operand can add the stride once or twice
// and three strides once.
type rowPointers struct {
	bases   []reg.GPVirtual
	strides [4]reg.Register
}

// newRows starts at next and leaves next behind the last row.
func newRows(rows int, next reg.GPVirtual, stride reg.Register) rowPointers {
	r := rowPointers{strides: [4]reg.Register{1: stride, 2: stride}}
	if rows > 3 {
		triple := build.GP64()
		build.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, triple)
		r.strides[3] = triple
	}
	for i := 0; i < rows; i += 4 {
		p := build.GP64()
		build.MOVQ(next, p)
		r.bases = append(r.bases, p)
		if left := rows - i; left >= 4 {
			build.LEAQ(operand.Mem{Base: next, Index: stride, Scale: 4}, next)
		} else {
			build.LEAQ(operand.Mem{Base: next, Index: stride, Scale: uint8(left)}, next)
		}
	}
	return r
}

func (r rowPointers) at(i int) operand.Mem {
	m := operand.Mem{Base: r.bases[i/4]}
	switch i % 4 {
	case 1, 2:
		m.Index, m.Scale = r.strides[i%4], uint8(i%4)
	case 3:
		m.Index, m.Scale = r.strides[3], 1
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

// loadHalf reads the first or the second register of the row at base.
func (t *strip) loadHalf(base reg.Register, half int) vec {
	v, m := t.vector(), operand.Mem{Base: base, Disp: 4 * t.lanes * half}
	switch {
	case t.on == nil:
		build.VMOVUPS(m, v)
	case t.wide:
		build.VMOVUPS_Z(m, t.on[half], v)
	default:
		build.VMASKMOVPS(m, t.on[half], v)
	}
	return v
}

func (t *strip) storeHalf(v vec, base reg.Register, half int) {
	m := operand.Mem{Base: base, Disp: 4 * t.lanes * half}
	switch {
	case t.on == nil:
		build.VMOVUPS(v, m)
	case t.wide:
		build.VMOVUPS(v, t.on[half], m)
	default:
		build.VMASKMOVPS(v, t.on[half], m)
	}
}
