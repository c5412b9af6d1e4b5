package engine

import (
	"math"
	"testing"
)

func TestBF16RoundsToNearestEven(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		x    float32
		want uint16
	}{
		{0, 0}, {1, 0x3f80}, {-2, 0xc000}, {inf, 0x7f80}, {-inf, 0xff80}, {math.MaxFloat32, 0x7f80},
		{1 + 1.0/256, 0x3f80},             // half way: to even, down
		{1 + 3.0/256, 0x3f82},             // half way: to even, up
		{1 + 1.0/256 + 1.0/65536, 0x3f81}, // above half way
		{math.SmallestNonzeroFloat32, 0},
	} {
		if got := ToBF16(c.x); got != c.want {
			t.Errorf("%g becomes %#04x, want %#04x", c.x, got, c.want)
		}
	}
	if x := FromBF16(ToBF16(math.Float32frombits(0x7f800001))); x == x {
		t.Errorf("a NaN became %g", x)
	}
	for b := range 1 << 16 {
		if x := FromBF16(uint16(b)); x == x && ToBF16(x) != uint16(b) {
			t.Fatalf("%#04x is %g, which becomes %#04x", b, x, ToBF16(x))
		}
	}
}
