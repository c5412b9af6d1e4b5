package gradients

import "math"

// int4 is a code from −7 to 7 in two's complement: code = round(x/s·7), ties to even, value = code·(s/7).
type int4 struct{}

func newInt4(groups []int) format { return newNibbles("int4", groups, int4{}) }

func (int4) quantise(codes []byte, v Vec, s float32) {
	codes = codes[:len(v)]
	for i, x := range v {
		codes[i] = byte(roundBits(float32(x/s)*7)) & 15
	}
}

func (int4) value(code int, s float32) float32 {
	return float32((code^8)-8) * (s / 7)
}

// roundBits rounds x, of magnitude below 2^22, to an integer, ties to even, and returns its low bits in two's complement.
// Adding 1.5·2^23 makes the float's own rounding do that. x is often a product, which must be rounded before.
func roundBits(x float32) uint32 {
	const magic = 3 << 22
	return math.Float32bits(float32(x) + magic)
}
