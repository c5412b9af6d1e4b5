package gradients

import (
	"encoding/binary"
	"fmt"
	"math"
)

// f32 sends float32 as it is; the value is the number of elements.
type f32 int

func (n f32) size() int              { return 4 * int(n) }
func (n f32) encode(b []byte, v Vec) { put(b, v) }
func (n f32) check(body []byte) error {
	var bad uint32
	for i := 0; i+4 <= len(body); i += 4 {
		bad |= beyond(binary.LittleEndian.Uint32(body[i : i+4]))
	}
	if bad>>31 != 0 {
		return fmt.Errorf("%w: f32: a value is NaN, infinite or above 2^64", ErrCorrupt)
	}
	return nil
}

func (n f32) add(acc Vec, weight float32, body []byte) {
	for i := range acc {
		x := math.Float32frombits(binary.LittleEndian.Uint32(body[4*i : 4*i+4]))
		acc[i] += float32(weight * x)
	}
}
