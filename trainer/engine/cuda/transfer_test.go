package cuda

import (
	"math"
	"slices"
	"testing"
)

// Copies of any size arrive whole, however far the host is ahead of the device and wherever pages end; a source may change as soon as
// the call is back.
func TestTransfers(t *testing.T) {
	const page = pageBytes / 4 // elements
	e := opened(t)
	for _, n := range []int{1, page, page + 1, 3*page + 5} {
		b, src, got := e.Alloc(n), make([]float32, n), make([]float32, n)
		for i := range src {
			src[i] = float32(i % 8191)
		}
		e.Upload(b, src)
		clear(src)
		e.Download(got, b)
		for i, x := range got {
			if x != float32(i%8191) {
				t.Fatalf("%d elements: number %d is %g", n, i, x)
			}
		}
	}
	small, all := make([]int32, page/3), e.Alloc(7*(page/3))
	for i := range 7 { // more than all pages hold
		for j := range small {
			small[j] = int32(i)
		}
		e.UploadInt32(all.Slice(i*len(small), (i+1)*len(small)), small)
	}
	got, want := make([]float32, all.Len), make([]float32, all.Len)
	e.Download(got, all)
	for i := range want {
		want[i] = math.Float32frombits(uint32(i / len(small)))
	}
	if !slices.Equal(got, want) {
		t.Error("an upload overtook another")
	}
}
