package gradients_test

import (
	"math"
	"testing"

	"github.com/skein-train/skein/gradients"
	"pgregory.net/rapid"
)

func TestBF16ByHand(t *testing.T) {
	for _, k := range []struct {
		x    uint32
		want uint16
	}{
		{0x3f800000, 0x3f80}, // 1
		{0x3f808000, 0x3f80}, // halfway, even stays
		{0x3f818000, 0x3f82}, // halfway, odd goes up
		{0x3f808001, 0x3f81}, // just above halfway
		{0xbf818000, 0xbf82}, // sign plays no part
		{0x3fffffff, 0x4000}, // carries into the exponent
		{0x80000000, 0x8000}, // −0
		{0x00000001, 0x0000}, // the smallest subnormal
		{0x0000ffff, 0x0001},
		{0x5f7fffff, 0x5f80}, // rounds up to 2^64, which is still allowed
	} {
		c, _ := codecFor(t, "bf16", 1)
		b := c.Append(nil, gradients.Key{}, gradients.Vec{math.Float32frombits(k.x)}, nil)
		if got := uint16(b[16]) | uint16(b[17])<<8; got != k.want {
			t.Errorf("%#08x: got %#04x, want %#04x", k.x, got, k.want)
		}
		if err := c.Check(b); err != nil {
			t.Errorf("%#08x: %v", k.x, err)
		}
	}
}

// The twin tries both neighbours and takes the nearer, the even one on a tie.
func TestBF16EqualsItsDefinition(t *testing.T) {
	c, _ := codecFor(t, "bf16", 1)
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float32Range(-gradients.MaxMagnitude, gradients.MaxMagnitude).Draw(t, "x")
		bits := math.Float32bits(x)
		down, up := bits>>16, bits>>16+1 // away from zero, whatever the sign
		value := func(h uint32) float64 { return float64(math.Float32frombits(h << 16)) }
		below, above := math.Abs(float64(x)-value(down)), math.Abs(float64(x)-value(up))
		want := down
		if above < below || above == below && down&1 == 1 {
			want = up
		}
		b := c.Append(nil, gradients.Key{}, gradients.Vec{x}, nil)
		if got := uint32(b[16]) | uint32(b[17])<<8; got != want {
			t.Fatalf("%g: got %#04x, want %#04x", x, got, want)
		}
	})
}

func TestValuesThatAreNoGradientAreRefused(t *testing.T) {
	for _, name := range []string{"f32", "bf16"} {
		c, _ := codecFor(t, name, 3)
		for _, x := range []float64{math.Inf(1), math.Inf(-1), math.NaN(), 2 * gradients.MaxMagnitude, -2 * gradients.MaxMagnitude} {
			src := c.Append(nil, gradients.Key{}, gradients.Vec{1, float32(x), 2}, nil)
			if c.Check(src) == nil || c.NewSum().Add(1, src) == nil {
				t.Errorf("%s: %g was taken", name, x)
			}
		}
	}
}
