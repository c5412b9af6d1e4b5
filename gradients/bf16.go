package gradients

import (
	"encoding/binary"
	"fmt"
	"math"
)

// bf16 sends the upper half of each float32, rounded to nearest, ties to even; the value is the number of elements.
type bf16 int

func (n bf16) size() int { return 2 * int(n) }

func (n bf16) encode(body []byte, v Vec) {
	for i, x := range v {
		binary.LittleEndian.PutUint16(body[2*i:2*i+2], toBF16(x))
	}
}

// toBF16 rounds by adding just under half of the last kept place, and the other bit when that place is odd. A
// carry runs into the exponent, as it should, but must not turn a NaN into a number.
func toBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return 0x7fc0
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func (n bf16) check(body []byte) error {
	var bad uint32
	for i := 0; i+2 <= len(body); i += 2 {
		bad |= beyond(uint32(binary.LittleEndian.Uint16(body[i:i+2])) << 16)
	}
	if bad>>31 != 0 {
		return fmt.Errorf("%w: bf16: a value is NaN, infinite or above 2^64", ErrCorrupt)
	}
	return nil
}

func (n bf16) add(acc Vec, weight float32, body []byte) {
	for i := range acc {
		x := math.Float32frombits(uint32(binary.LittleEndian.Uint16(body[2*i:2*i+2])) << 16)
		acc[i] += float32(weight * x)
	}
}
