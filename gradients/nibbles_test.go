package gradients_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
	"pgregory.net/rapid"
)

// encodeOne returns the body of one tensor's payload.
func encodeOne(t *testing.T, codec string, v ...float32) []byte {
	c, _ := codecFor(t, codec, len(v))
	return c.Append(nil, gradients.Key{}, v, nil)[16:]
}

// By hand: s = 128. A value exactly between two levels goes to the smaller one.
func TestE3M0ByHand(t *testing.T) {
	up := math.Nextafter32
	got := encodeOne(t, "e3m0",
		128, -128, 96, up(96, 128), -64, 48, up(48, 64), -24, 12, 6, // 7 −7 6 7 −6 5 6 −4 3 2
		3, up(3, 4), -1, up(-1, -2), 1.5, 0, 1e-9) // 1 2 −0 −1 1 0 0
	want := []byte{0, 0, 0, 0x43, 0xf7, 0x76, 0x5e, 0xc6, 0x23, 0x21, 0x90, 0x01, 0x00}
	if !bytes.Equal(got, want) {
		t.Errorf("got  % x\nwant % x", got, want)
	}
}

// By hand: s = 14, so that a step is 2.
func TestInt4ByHand(t *testing.T) {
	got := encodeOne(t, "int4", 14, -14, 1, -1, 3, -3.1, .9)
	want := []byte{0, 0, 0x60, 0x41, 0x97, 0x00, 0xe2, 0x00} // 7 −7 | .5 → 0, −.5 → 0 | 1.5 → 2, −1.55 → −2 | .45 → 0
	if !bytes.Equal(got, want) {
		t.Errorf("got  % x\nwant % x", got, want)
	}
}

// The definition, value by value: the nearest level in float64, whatever the block and its scale.
func TestE3M0TakesTheNearestLevel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 2, 33, 4095, 4097}).Draw(t, "n")
		c, _ := codecFor(t, "e3m0", n)
		v := codectest.Values(rapid.SampledFrom([]string{"gaussian", "sparse"}).Draw(t, "kind"), rapid.Uint64().Draw(t, "seed"), n)
		got := make(gradients.Vec, n)
		must(t, gradients.Decoded(c, got, c.Append(nil, gradients.Key{}, v, nil)))
		s := 0.0
		for i, x := range v {
			if i%4096 == 0 {
				s = 0
				for _, y := range v[i:min(i+4096, n)] {
					s = max(s, math.Abs(float64(y)))
				}
			}
			best := math.Abs(float64(x))
			for e := 1; e <= 7; e++ {
				best = min(best, math.Abs(math.Abs(float64(x))-math.Ldexp(s, e-7)))
			}
			if off := math.Abs(float64(x - got[i])); off > best+1e-7*s || got[i]*x < 0 {
				t.Fatalf("%g is sent as %g with s = %g: a level is nearer by %g", x, got[i], s, off-best)
			}
		}
	})
}

func TestNibblesRefuseWhatNoEncoderWrites(t *testing.T) {
	for _, codec := range []string{"e3m0", "int4"} {
		c, f := codecFor(t, codec, 4101, 3)
		valid := c.Append(nil, gradients.Key{}, codectest.Values("gaussian", 5, f.Len()), nil)
		const scales, codes = 16, 16 + 3*4
		for name, change := range map[string]func(b []byte){
			"NaN scale":        func(b []byte) { binary.LittleEndian.PutUint32(b[scales+4:], 0x7fc00000) },
			"negative scale":   func(b []byte) { b[scales+3] |= 0x80 },
			"scale above 2^64": func(b []byte) { binary.LittleEndian.PutUint32(b[scales+8:], 0x5f800001) },
			"codes, no scale":  func(b []byte) { binary.LittleEndian.PutUint32(b[scales+8:], 0) },
			"low code 8":       func(b []byte) { b[codes+1000] = b[codes+1000]&0xf0 | 8 },
			"high code 8":      func(b []byte) { b[codes+1001] = b[codes+1001]&0x0f | 0x80 },
			"last code 8":      func(b []byte) { b[len(b)-1] = 8 },
			"a code too many":  func(b []byte) { b[codes+2050] |= 0x10 },
			"and at the end":   func(b []byte) { b[len(b)-1] |= 0x10 },
		} {
			src := slices.Clone(valid)
			change(src)
			if c.Check(src) == nil || c.NewSum().Add(1, src) == nil {
				t.Errorf("%s: %s: taken", codec, name)
			}
			codectest.Hostile(t, c, f.Len(), src)
		}
	}
}
