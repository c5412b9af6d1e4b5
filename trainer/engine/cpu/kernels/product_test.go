package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// naive is the product in float64.
func naive(m, n, k int, a []float32, row, col int, b []float32, bRow int, c []float32, cRow int, accumulate bool) []float32 {
	want := append([]float32(nil), c...)
	for i := range m {
		for j := range n {
			var s float64
			if accumulate {
				s = float64(c[i*cRow+j])
			}
			for p := range k {
				s += float64(a[i*row+p*col]) * float64(b[p*bRow+j])
			}
			want[i*cRow+j] = float32(s)
		}
	}
	return want
}

// Every shape up to past the largest tile, with gaps between rows, which must stay as they were.
func TestProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, s := range Available() {
		t.Run(s.Name, func(t *testing.T) {
			for _, m := range []int{1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 15, 27} {
				for _, n := range []int{1, 7, 8, 9, 16, 17, 31, 32, 33, 65} {
					for _, k := range []int{0, 1, 19} {
						transposed, accumulate := r.IntN(2) == 1, r.IntN(2) == 1
						row, col := k+3, 1
						if transposed {
							row, col = 1, m+2
						}
						x := normals(r, 3, max(m*row+k*col, k*(n+1), m*(n+5))+1)
						a, b, c := x[0], x[1], x[2]
						want := naive(m, n, k, a, row, col, b, n+1, c, n+5, accumulate)
						s.Tiles.Product(m, n, k, Operand{&a[0], row, col}, &b[0], n+1, &c[0], n+5, accumulate)
						for i := range want {
							if !near(float64(c[i]), float64(want[i]), 3*float64(k+1)) {
								t.Fatalf("%d×%d×%d transposed %v accumulate %v: [%d] = %v, want %v", m, n, k, transposed, accumulate, i, c[i], want[i])
							}
						}
					}
				}
			}
		})
	}
}

func TestTranspose(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	sizes := []int{1, 3, 4, 7, 8, 15, 16, 17, 33, 50}
	for _, s := range Available() {
		for _, rows := range sizes {
			for _, cols := range sizes {
				srcRow, dstRow := cols+4, rows+3
				src, dst := normals(r, 1, rows*srcRow)[0], make([]float32, cols*dstRow)
				s.Transpose(&dst[0], dstRow, &src[0], srcRow, rows, cols)
				for j := range cols {
					for i := range dstRow {
						want := float32(0) // the gap
						if i < rows {
							want = src[i*srcRow+j]
						}
						if dst[j*dstRow+i] != want {
							t.Fatalf("%s, %d×%d: [%d,%d] = %v, want %v", s.Name, rows, cols, j, i, dst[j*dstRow+i], want)
						}
					}
				}
			}
		}
	}
}

func BenchmarkProduct(b *testing.B) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, s := range Available() {
		for _, n := range [][3]int{{64, 128, 32}, {64, 32, 128}, {64, 256, 64}, {64, 64, 256}, {240, 32, 256}} {
			m, n, k := n[0], n[1], n[2]
			x := normals(r, 3, (m+16)*(n+16)+(k+16)*(n+16)+(m+16)*(k+16))
			b.Run(fmt.Sprintf("%s/%dx%dx%d", s.Name, m, n, k), func(b *testing.B) {
				for b.Loop() {
					s.Tiles.Product(m, n, k, Operand{&x[0][0], k + 16, 1}, &x[1][0], n+16, &x[2][0], n+16, false)
				}
				b.ReportMetric(float64(2*m*n*k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}
