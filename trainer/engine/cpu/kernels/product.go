package kernels

import "unsafe"

// Tile computes a few rows of C = A·B, or C + A·B, for as many columns as two registers hold. Strides are in elements:
// A[i,p] is a[i·aRow + p·aCol], B[p,j] is b[p·bRow + j], C[i,j] is c[i·cRow + j]. It does so times times, once for each
// group of its rows, one group below the other; times is at least 1.
type Tile func(times, k int, a *float32, aRow, aCol int, b *float32, bRow int, c *float32, cRow, cols int, accumulate bool)

// Tiles is a matrix product cut into tiles of several heights.
type Tiles struct {
	Cols    int // most columns of a tile
	Heights []Height
}

// Height is the tile of that many rows.
type Height struct {
	Rows int
	Tile Tile
}

// Operand is the left factor: element (i, p) is Data[i·Row + p·Col], so a transpose is an exchange of strides.
type Operand struct {
	Data     *float32
	Row, Col int
}

// Product computes C[m,n] = A·B, or C + A·B, with B [k,n] and C row by row. It copies nothing, so it is fast while a
// strip of B, k rows of Cols columns, stays in the first-level cache, and for small products without that.
func (t Tiles) Product(m, n, k int, a Operand, b *float32, bRow int, c *float32, cRow int, accumulate bool) {
	for j := 0; j < n; j += t.Cols {
		cols := min(t.Cols, n-j)
		i := 0
		for _, h := range t.Heights {
			if times := (m - i) / h.Rows; times > 0 {
				h.Tile(times, k, offset(a.Data, i*a.Row), a.Row, a.Col, offset(b, j), bRow, offset(c, i*cRow+j), cRow, cols, accumulate)
				i += times * h.Rows
			}
		}
	}
}

func offset[T float32 | uint16](p *T, elements int) *T {
	return (*T)(unsafe.Add(unsafe.Pointer(p), int(unsafe.Sizeof(*p))*elements))
}

// Transpose: dst[j·dstRow + i] = src[i·srcRow + j] for rows × cols elements of src.
func (s *Set) Transpose(dst *float32, dstRow int, src *float32, srcRow, rows, cols int) {
	fullRows, fullCols := rows/s.Side*s.Side, cols/s.Side*s.Side
	for i := 0; i < fullRows; i += s.Side {
		for j := 0; j < fullCols; j += s.Side {
			s.Square(offset(dst, j*dstRow+i), dstRow, offset(src, i*srcRow+j), srcRow)
		}
	}
	if fullCols < cols {
		transpose(offset(dst, fullCols*dstRow), dstRow, offset(src, fullCols), srcRow, fullRows, cols-fullCols)
	}
	if fullRows < rows {
		transpose(offset(dst, fullRows), dstRow, offset(src, fullRows*srcRow), srcRow, rows-fullRows, cols)
	}
}

// transpose is Transpose one by one, for what squares leave over.
func transpose(dst *float32, dstRow int, src *float32, srcRow, rows, cols int) {
	for i := range rows {
		for j := range cols {
			*offset(dst, j*dstRow+i) = *offset(src, i*srcRow+j)
		}
	}
}
