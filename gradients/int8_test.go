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

// By hand: s = 0.75 in the first tensor, codes round(x/s·127) with ties to even; the second tensor has its own scale.
func TestInt8ByHand(t *testing.T) {
	c, _ := codecFor(t, "int8", 6, 2)
	v := gradients.Vec{0.75, -0.75, 0, 0.375, -0.25, 1e-9 /**/, 127, 0.5}
	got := c.Append(nil, gradients.Key{}, v, nil)
	want := []byte("SKPG\x01\x03\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00")
	want = append(want, 0, 0, 0x40, 0x3f, 0, 0, 0xfe, 0x42) // .75, 127
	want = append(want, 127, 0x81, 0, 64, 0xd6, 0, 127, 0)  // 63.5 → 64, −42.33 → −42, .5 → 0
	if !bytes.Equal(got, want) {
		t.Errorf("got  % x\nwant % x", got, want)
	}
}

// dumbInt8 is the definition of the format: float64 for the rounding, a loop for everything else.
func dumbInt8(tensors []int, v gradients.Vec) (codes []int8, values gradients.Vec) {
	for _, n := range tensors {
		for lo := 0; lo < n; lo += 4096 {
			block := v[lo:min(lo+4096, n)]
			var s float32
			for _, x := range block {
				s = max(s, float32(math.Abs(float64(x))))
			}
			for _, x := range block {
				var q float32
				if s > 0 {
					q = float32(x/s) * 127
				}
				code := int8(math.RoundToEven(float64(q)))
				step := s / 127
				codes, values = append(codes, code), append(values, float32(code)*step)
			}
		}
		v = v[n:]
	}
	return codes, values
}

func TestInt8EqualsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.SampledFrom([]int{1, 3, 7, 8, 9, 4095, 4096, 4097, 8200}), 1, 4).Draw(t, "lengths")
		c, f := codecFor(t, "int8", lengths...)
		v := codectest.Values(rapid.SampledFrom([]string{"gaussian", "sparse", "wide", "zero"}).Draw(t, "kind"), rapid.Uint64().Draw(t, "seed"), f.Len())
		codes, values := dumbInt8(lengths, v)
		src := c.Append(nil, gradients.Key{}, v, nil)
		for i, b := range src[len(src)-f.Len():] {
			if int8(b) != codes[i] {
				t.Fatalf("code %d: got %d, defined as %d (x = %g)", i, int8(b), codes[i], v[i])
			}
		}
		got := make(gradients.Vec, f.Len())
		if err := gradients.Decoded(c, got, src); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, values) {
			t.Fatal("decoded values differ from the definition")
		}
	})
}

func TestInt8RefusesWhatNoEncoderWrites(t *testing.T) {
	c, f := codecFor(t, "int8", 4100, 3)
	valid := c.Append(nil, gradients.Key{}, codectest.Values("gaussian", 5, f.Len()), nil)
	const scales, codes = 16, 16 + 3*4
	for name, change := range map[string]func(b []byte){
		"NaN scale":        func(b []byte) { binary.LittleEndian.PutUint32(b[scales+4:], 0x7fc00000) },
		"infinite scale":   func(b []byte) { binary.LittleEndian.PutUint32(b[scales:], 0x7f800000) },
		"negative scale":   func(b []byte) { b[scales+3] |= 0x80 },
		"minus zero scale": func(b []byte) { binary.LittleEndian.PutUint32(b[scales+8:], 1<<31) },
		"scale above 2^64": func(b []byte) { binary.LittleEndian.PutUint32(b[scales+8:], 0x5f800001) },
		"codes, no scale":  func(b []byte) { binary.LittleEndian.PutUint32(b[scales+8:], 0) },
		"code -128":        func(b []byte) { b[codes+2000] = 0x80 },
		"last code -128":   func(b []byte) { b[len(b)-1] = 0x80 },
	} {
		src := slices.Clone(valid)
		change(src)
		if c.Check(src) == nil || c.NewSum().Add(1, src) == nil {
			t.Errorf("%s: taken", name)
		}
		codectest.Hostile(t, c, f.Len(), src)
	}
}
