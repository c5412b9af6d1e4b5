package gradients

import "math"

// e3m0 is a sign and a 3-bit exponent: code sign·8 + e stands for 0 where e = 0, and for ±s·2^(e−7) where e = 1…7. It is
// the FP4 of Streaming DiLoCo (arXiv 2501.18512), which leaves the scale open: ours is a block's largest magnitude.
type e3m0 struct{}

func newE3M0(groups []int) format { return newNibbles("e3m0", groups, e3m0{}) }

// quantise takes the nearest level, the smaller one on a tie. Between two powers of two the border is 1.5 times the lower
// one: adding just under half of the mantissa's range carries into the exponent exactly for what lies above it.
// Between 0 and the lowest level, s/64, the border is s/128.
func (e3m0) quantise(codes []byte, v Vec, s float32) {
	const lowest = 0x3c000000 // the bits of 1/128
	codes = codes[:len(v)]
	for i, x := range v {
		q := math.Float32bits(x / s)
		size := q & absMask
		e := max(int32((size+(1<<22-1))>>23)-120, 0)
		if size > lowest {
			e = max(e, 1)
		}
		if e != 0 {
			e |= int32(q >> 31 << 3)
		}
		codes[i] = byte(e & 15)
	}
}

func (e3m0) value(code int, s float32) float32 {
	e := code & 7
	if e == 0 {
		return 0
	}
	x := s * (float32(int(1)<<e) / 128)
	if code&8 != 0 {
		return -x
	}
	return x
}
