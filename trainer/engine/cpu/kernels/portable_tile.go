package kernels

import "unsafe"

// each calls a tile once for each group of rows.
func each(rows int, tile Tile) Tile {
	return func(times, k int, a *float32, aRow, aCol int, b *float32, bRow int, c *float32, cRow, cols int, accumulate bool) {
		for i := range times {
			tile(1, k, offset(a, i*rows*aRow), aRow, aCol, b, bRow, offset(c, i*rows*cRow), cRow, cols, accumulate)
		}
	}
}

// tile4 is for four rows. Four columns are the common case, and sixteen named sums stay in registers where an array
// would not.
func tile4(_, k int, a *float32, aRow, aCol int, b *float32, bRow int, c *float32, cRow, cols int, accumulate bool) {
	if cols != 4 {
		for i := range 4 {
			tile1(1, k, offset(a, i*aRow), aRow, aCol, b, bRow, offset(c, i*cRow), cRow, cols, accumulate)
		}
		return
	}
	var s00, s01, s02, s03, s10, s11, s12, s13, s20, s21, s22, s23, s30, s31, s32, s33 float32
	row := func(i int) *[4]float32 { return (*[4]float32)(unsafe.Pointer(offset(c, i*cRow))) }
	if accumulate {
		r0, r1, r2, r3 := row(0), row(1), row(2), row(3)
		s00, s01, s02, s03 = r0[0], r0[1], r0[2], r0[3]
		s10, s11, s12, s13 = r1[0], r1[1], r1[2], r1[3]
		s20, s21, s22, s23 = r2[0], r2[1], r2[2], r2[3]
		s30, s31, s32, s33 = r3[0], r3[1], r3[2], r3[3]
	}
	for p := range k {
		r := (*[4]float32)(unsafe.Pointer(offset(b, p*bRow)))
		r0, r1, r2, r3 := r[0], r[1], r[2], r[3]
		l := *offset(a, p*aCol)
		s00, s01, s02, s03 = s00+l*r0, s01+l*r1, s02+l*r2, s03+l*r3
		l = *offset(a, p*aCol+aRow)
		s10, s11, s12, s13 = s10+l*r0, s11+l*r1, s12+l*r2, s13+l*r3
		l = *offset(a, p*aCol+2*aRow)
		s20, s21, s22, s23 = s20+l*r0, s21+l*r1, s22+l*r2, s23+l*r3
		l = *offset(a, p*aCol+3*aRow)
		s30, s31, s32, s33 = s30+l*r0, s31+l*r1, s32+l*r2, s33+l*r3
	}
	*row(0) = [4]float32{s00, s01, s02, s03}
	*row(1) = [4]float32{s10, s11, s12, s13}
	*row(2) = [4]float32{s20, s21, s22, s23}
	*row(3) = [4]float32{s30, s31, s32, s33}
}

// tile1 is for one row of up to four columns.
func tile1(_, k int, a *float32, _, aCol int, b *float32, bRow int, c *float32, _, cols int, accumulate bool) {
	dst := unsafe.Slice(c, cols)
	if !accumulate {
		clear(dst)
	}
	for p := range k {
		left := *offset(a, p*aCol)
		for j, r := range unsafe.Slice(offset(b, p*bRow), cols) {
			dst[j] += left * r
		}
	}
}
