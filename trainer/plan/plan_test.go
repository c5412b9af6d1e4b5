package plan

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPlaceReusesMemory(t *testing.T) {
	// a → b → c: a and c never meet and share memory.
	off, total := Place([]Buffer{{100, 0, 1}, {50, 1, 2}, {100, 2, 3}}, 1)
	if off[0] != off[2] || total != 150 {
		t.Fatalf("offsets %v, total %d", off, total)
	}
}

func TestPlaceNeverOverlaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bufs := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Buffer {
			first := rapid.IntRange(0, 30).Draw(t, "first")
			return Buffer{rapid.IntRange(1, 200).Draw(t, "len"), first, first + rapid.IntRange(0, 20).Draw(t, "turns")}
		})).Draw(t, "bufs")
		off, total := Place(bufs, 16)
		sum := 0
		for i, a := range bufs {
			sum += roundUp(a.Len, 16)
			if off[i] < 0 || off[i]%16 != 0 || off[i]+a.Len > total {
				t.Fatalf("buffer %d at %d of %d", i, off[i], total)
			}
			for j, b := range bufs[:i] {
				if meet(a, b) && off[i] < off[j]+b.Len && off[j] < off[i]+a.Len {
					t.Fatalf("buffers %d and %d overlap", i, j)
				}
			}
		}
		if total > sum {
			t.Fatalf("total %d is more than no sharing at all, %d", total, sum)
		}
	})
}
