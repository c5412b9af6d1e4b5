package gradients

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// mask sends some of every few elements of a tensor, which ones being drawn from the departure: nothing but it and the
// values travel. It is the random mask of structured updates (arXiv 1610.05492, section 2), drawn stretch by stretch so that
// the number of values is always the same.
type mask struct {
	tensors   []Tensor
	count, of int // elements sent of each stretch, and its length
}

func (m mask) groups() []int {
	var out []int
	for _, t := range m.tensors {
		n := t.Len()
		out = append(out, n/m.of*m.count+m.rest(n%m.of))
	}
	return out
}

// rest is the number of values that a shorter stretch at the end sends: at least its share.
func (m mask) rest(n int) int { return (n*m.count + m.of - 1) / m.of }

func (m mask) head() (least, most int) { return 8, 8 }
func (m mask) restore(Vec)             {}

func (m mask) pick(dst []byte, at []uint32, sent, v Vec, k Key) []byte {
	m.draw(at, k.Departure)
	for i, p := range at {
		sent[i] = v[p]
	}
	return binary.LittleEndian.AppendUint64(dst, k.Departure)
}

// read takes any departure: a payload with another one than its round's sends other places, and that is no more than
// sending other values.
func (m mask) read(at []uint32, head []byte) error {
	if len(head) != 8 {
		return fmt.Errorf("%w: head of %d bytes, expected 8", ErrCorrupt, len(head))
	}
	if at != nil {
		m.draw(at, binary.LittleEndian.Uint64(head))
	}
	return nil
}

// draw fills at with the places of a departure: selection sampling (D. E. Knuth, TAOCP vol. 2, algorithm 3.4.2 S) in each
// stretch, with SplitMix64 as the source.
func (m mask) draw(at []uint32, departure uint64) {
	state := mix64(departure)
	for _, t := range m.tensors {
		hi := t.Off + t.Len()
		for lo := t.Off; lo < hi; lo += m.of {
			left, need := m.of, m.count
			if hi-lo < left {
				left = hi - lo
				need = m.rest(left)
			}
			for p := lo; need > 0; p, left = p+1, left-1 {
				state += 0x9e3779b97f4a7c15
				if drawn, _ := bits.Mul64(mix64(state), uint64(left)); drawn < uint64(need) {
					at[0] = uint32(p)
					at = at[1:]
					need--
				}
			}
		}
	}
}

// mix64 is SplitMix64's finaliser (G. L. Steele et al., OOPSLA 2014).
func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
