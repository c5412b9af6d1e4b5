package shards

import "container/heap"

// mergePairs encodes one piece by byte-pair merges: of all neighbouring parts whose concatenation is in ids, the pair
// with the smallest id is joined, the leftmost first, until none is left. It costs O(n·log n).
func mergePairs(ids map[string]int32, piece string) []int32 {
	if id, ok := ids[piece]; ok {
		return []int32{id}
	}
	m := merger{ids: ids, piece: piece, next: make([]int, len(piece)+1), prev: make([]int, len(piece)+1)}
	for i := range m.next {
		m.next[i], m.prev[i] = i+1, i-1
	}
	for i := range len(piece) {
		m.offer(i)
	}
	for m.Len() > 0 {
		m.join(heap.Pop(&m).(pair))
	}
	var out []int32
	for i := 0; i < len(piece); i = m.next[i] {
		out = append(out, ids[piece[i:m.next[i]]])
	}
	return out
}

// pair is two neighbouring parts, [lo, mid) and [mid, hi), that could be joined into the token id.
type pair struct {
	id          int32
	lo, mid, hi int
}

// merger holds the parts as a linked list over their starts, and the possible joins as a heap.
type merger struct {
	ids        map[string]int32
	piece      string
	next, prev []int
	heap       []pair
}

// offer puts the pair that starts at lo on the heap, if it can be joined.
func (m *merger) offer(lo int) {
	if lo < 0 || m.next[lo] >= len(m.piece) {
		return
	}
	mid := m.next[lo]
	hi := m.next[mid]
	if id, ok := m.ids[m.piece[lo:hi]]; ok {
		heap.Push(m, pair{id, lo, mid, hi})
	}
}

// join makes one part out of two, unless one of them was joined with another part meanwhile.
func (m *merger) join(p pair) {
	if m.next[p.lo] != p.mid || m.next[p.mid] != p.hi {
		return
	}
	m.next[p.lo], m.next[p.mid] = p.hi, -1
	m.prev[p.hi] = p.lo
	m.offer(p.lo)
	m.offer(m.prev[p.lo])
}

func (m *merger) Len() int      { return len(m.heap) }
func (m *merger) Swap(i, j int) { m.heap[i], m.heap[j] = m.heap[j], m.heap[i] }
func (m *merger) Push(x any)    { m.heap = append(m.heap, x.(pair)) }
func (m *merger) Less(i, j int) bool {
	a, b := m.heap[i], m.heap[j]
	return a.id < b.id || a.id == b.id && a.lo < b.lo
}

func (m *merger) Pop() any {
	last := m.heap[len(m.heap)-1]
	m.heap = m.heap[:len(m.heap)-1]
	return last
}
