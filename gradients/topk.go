package gradients

import (
	"fmt"
	"math"
)

// topK sends the largest values of every chunk and where they are. The head has for each tensor, unless it sends everything,
// the parameter of the Rice codes in a byte and the codes of the gaps between places within each chunk.
type topK struct {
	grids []grid
	basis *dct // nil: the values themselves

	gaps   []uint16 // scratch of pick: of one tensor
	tile   Vec      // scratch of pick: one chunk
	sorter selector
}

func newTopK(grids []grid, basis *dct) *topK {
	t := &topK{grids: grids, basis: basis}
	longest := 0
	for _, g := range grids {
		longest = max(longest, g.h*min(g.w, g.cols))
	}
	t.tile = make(Vec, longest)
	return t
}

func (t *topK) groups() []int {
	var out []int
	for _, g := range t.grids {
		out = append(out, g.sent())
	}
	return out
}

// head bounds the head's size: at least a bit for every gap; at most what the best parameter takes where gaps are longest.
func (t *topK) head() (least, most int) {
	for _, g := range t.grids {
		gaps, room := 0, [maxRice + 1]int{}
		for c := range g.chunks {
			if c.count == c.len() {
				continue
			}
			gaps += c.count
			for m := range room {
				room[m] += riceCost(m, c.count, (c.len()-c.count)>>m)
			}
		}
		if gaps > 0 {
			shortest := room[0]
			for _, bits := range room {
				shortest = min(shortest, bits)
			}
			least, most = least+1+(gaps+7)/8, most+1+(shortest+7)/8
		}
	}
	return least, most
}

func (t *topK) pick(dst []byte, at []uint32, sent, v Vec, _ Key) []byte {
	for _, g := range t.grids {
		t.gaps = t.gaps[:0]
		for c := range g.chunks {
			x := c.load(v, t.tile)
			if t.basis != nil {
				t.basis.forward(t.tile[:copy(t.tile, x)], c.h, c.w)
				x = t.tile[:len(x)]
			}
			if c.count == len(x) {
				for i := range x {
					at[i] = c.place(i)
				}
				copy(sent, x)
			} else {
				next := 0
				for i, p := range t.sorter.top(x, c.count) {
					t.gaps = append(t.gaps, uint16(int(p)-next))
					at[i], sent[i] = c.place(int(p)), x[p]
					next = int(p) + 1
				}
			}
			at, sent = at[c.count:], sent[c.count:]
		}
		dst = appendGaps(dst, t.gaps)
	}
	return dst
}

// appendGaps writes one tensor's part of the head.
func appendGaps(dst []byte, gaps []uint16) []byte {
	if len(gaps) == 0 {
		return dst
	}
	m := bestRice(gaps)
	w := bitWriter{dst: append(dst, byte(m))}
	for _, g := range gaps {
		w.rice(g, m)
	}
	return w.flush()
}

func (t *topK) read(at []uint32, head []byte) error {
	for i, g := range t.grids {
		n, err := g.read(at, head)
		if err != nil {
			return fmt.Errorf("%w: places of tensor %d: %w", ErrCorrupt, i, err)
		}
		if head = head[n:]; at != nil {
			at = at[g.sent():]
		}
	}
	if len(head) != 0 {
		return fmt.Errorf("%w: %d bytes between places and values", ErrCorrupt, len(head))
	}
	return nil
}

// read reads one tensor's places into at, or only checks them if at is nil, and returns the size of its part of the head.
func (g grid) read(at []uint32, head []byte) (size int, err error) {
	r, m, gaps := bitReader{src: head}, -1, 0
	var quotients [3]int // of all gaps with m−1, m, m+1
	for c := range g.chunks {
		if c.count == c.len() {
			for i := range at[:min(c.count, len(at))] {
				at[i] = c.place(i)
			}
		} else {
			if m < 0 {
				if len(head) == 0 || head[0] > maxRice {
					return 0, fmt.Errorf("no parameter from 0 to %d", maxRice)
				}
				m, r.at = int(head[0]), 8
			}
			next := 0
			for i := range c.count {
				gap := r.rice(m, c.len())
				if next += gap + 1; next > c.len() {
					return 0, fmt.Errorf("one is behind the end of its chunk")
				}
				if at != nil {
					at[i] = c.place(next - 1)
				}
				quotients[0] += gap << 1 >> m
				quotients[1] += gap >> m
				quotients[2] += gap >> (m + 1)
			}
			gaps += c.count
		}
		if at != nil {
			at = at[c.count:]
		}
	}
	if m < 0 {
		return 0, nil
	}
	cost := riceCost(m, gaps, quotients[1])
	if m > 0 && riceCost(m-1, gaps, quotients[0]) <= cost || riceCost(m+1, gaps, quotients[2]) < cost {
		return 0, fmt.Errorf("parameter %d is not the shortest", m)
	}
	return r.size()
}

func (t *topK) restore(v Vec) {
	if t.basis == nil {
		return
	}
	for _, g := range t.grids {
		for c := range g.chunks {
			x := t.tile[:copy(t.tile, c.load(v, t.tile))]
			t.basis.inverse(x, c.h, c.w)
			c.store(v, x)
		}
	}
}

// selector finds the largest magnitudes. It is exact whatever it guesses; among equals the lowest places win.
type selector struct {
	guess uint32   // the bits of a magnitude that hardly more than the ones sought exceed; from the chunk before
	keys  []uint64 // candidates in ascending order of place: a key is greater if its element comes first
	heap  []uint64 // scratch of nth
	out   []uint16
}

// top returns the places of the count largest magnitudes of x, ascending, in memory that the next call overwrites.
// 1 ≤ count < len(x) ≤ 65536. A NaN counts as larger than any number.
func (s *selector) top(x Vec, count int) []uint16 {
	s.keys = candidates(s.keys[:0], x, s.guess)
	if len(s.keys) < count {
		s.keys = candidates(s.keys[:0], x, 0)
	}
	s.heap = append(s.heap[:0], s.keys...)
	least := nth(s.heap, count-1)
	s.guess = uint32(least>>32) - min(uint32(least>>32), 1<<20) // a tenth lower
	s.out = s.out[:0]
	for _, k := range s.keys {
		if k >= least {
			s.out = append(s.out, ^uint16(k))
		}
	}
	return s.out
}

// candidates appends the keys of elements with at least that magnitude.
func candidates(keys []uint64, x Vec, least uint32) []uint64 {
	for i, f := range x {
		if b := math.Float32bits(f) & absMask; b >= least {
			keys = append(keys, uint64(b)<<32|uint64(^uint16(i)))
		}
	}
	return keys
}

// nth returns the key that n others are greater than, all being different, and leaves them in any order (C. A. R. Hoare's
// quickselect with the median of three as pivot).
func nth(keys []uint64, n int) uint64 {
	for len(keys) > 3 {
		a, b, c := keys[0], keys[len(keys)/2], keys[len(keys)-1]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := 0, len(keys)-1
		for i <= j {
			for keys[i] > pivot {
				i++
			}
			for keys[j] < pivot {
				j--
			}
			if i <= j {
				keys[i], keys[j] = keys[j], keys[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case n <= j:
			keys = keys[:j+1]
		case n >= i:
			keys, n = keys[i:], n-i
		default:
			return pivot
		}
	}
	for i := range keys { // three at most: the ones that are greater are counted
		greater := 0
		for _, k := range keys {
			if k > keys[i] {
				greater++
			}
		}
		if greater == n {
			return keys[i]
		}
	}
	return 0 // not reached: n < len(keys)
}
