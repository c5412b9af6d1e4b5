package engine

import "math"

// ToBF16 rounds to the nearest bfloat16, ties to even. A NaN stays one.
func ToBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40 // a quiet one: the upper half of its payload may be all that made it no infinity
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromBF16 is exact.
func FromBF16(x uint16) float32 { return math.Float32frombits(uint32(x) << 16) }
