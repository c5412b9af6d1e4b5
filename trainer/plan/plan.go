// Package plan decides where buffers lie: which of them may share memory because they are never needed at the same time.
// It knows lengths and life times only.
package plan

import (
	"cmp"
	"slices"
)

// Buffer is one buffer's length, in elements, and the turns, first to last inclusive, in which it must keep its contents.
type Buffer struct{ Len, First, Last int }

// Place returns an offset for each buffer, a multiple of align, and the memory needed in all, such that buffers that live
// at the same time do not overlap. It is the greedy-by-size heuristic (Pisarchyk & Lee 2020, arXiv 2001.03288): the largest
// buffer first, each into the lowest gap that fits. Time is quadratic in the number of buffers.
func Place(bufs []Buffer, align int) (offsets []int, total int) {
	order := make([]int, len(bufs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(bufs[b].Len, bufs[a].Len) })
	offsets = make([]int, len(bufs))
	var placed []int // by offset
	for _, i := range order {
		off := 0
		for _, j := range placed {
			if !meet(bufs[i], bufs[j]) {
				continue
			}
			if offsets[j]-off >= bufs[i].Len {
				break // the gap below j is big enough
			}
			off = max(off, roundUp(offsets[j]+bufs[j].Len, align))
		}
		offsets[i] = off
		total = max(total, off+bufs[i].Len)
		at, _ := slices.BinarySearchFunc(placed, off, func(j, off int) int { return cmp.Compare(offsets[j], off) })
		placed = slices.Insert(placed, at, i)
	}
	return offsets, total
}

// meet says whether a and b live at the same time.
func meet(a, b Buffer) bool { return a.First <= b.Last && b.First <= a.Last }

func roundUp(n, align int) int { return (n + align - 1) / align * align }
