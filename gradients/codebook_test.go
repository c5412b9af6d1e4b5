package gradients_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
)

// By hand: mean 1, deviation √(32/(5−1)) = 2√2, so that a bin is 3√2 ≈ 4.24 wide and the borders are −5.4, −1.1 and 3.1.
func Test2BitByHand(t *testing.T) {
	got := encodeOne(t, "2bit", -3, 1, 1, 1, 5)
	want := floatBytes(1, -3, 1, 5)          // nothing fell into the first bin: it stands for the mean
	want = append(want, 0b10_10_10_01, 0b11) // −3 is 1, 1 is 2, 5 is 3
	if !bytes.Equal(got, want) {
		t.Errorf("got  % x\nwant % x", got, want)
	}
	got = encodeOne(t, "2bit", 7)
	if want := append(floatBytes(7, 7, 7, 7), 2); !bytes.Equal(got, want) {
		t.Errorf("a single value: got % x, want % x", got, want)
	}
}

func Test1BitByHand(t *testing.T) {
	got := encodeOne(t, "1bit", 3, -1, 0, -5, 3, 2, 2, 2, -3)
	want := append(floatBytes(2, -3), 0b0000_1010, 1)
	if !bytes.Equal(got, want) {
		t.Errorf("got  % x\nwant % x", got, want)
	}
}

func floatBytes(v ...float32) []byte { return gradients.AppendBytes(nil, v) }

// A value too large for a payload must not hide behind a mean that is not.
func TestCodebooksShowAPoisonedValue(t *testing.T) {
	for _, codec := range []string{"2bit", "1bit"} {
		for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1.5 * gradients.MaxMagnitude} {
			c, _ := codecFor(t, codec, 1000)
			v := codectest.Values("gaussian", 1, 1000)
			v[777] = float32(x)
			if c.Check(c.Append(nil, gradients.Key{}, v, nil)) == nil {
				t.Errorf("%s: %g is hidden", codec, x)
			}
		}
	}
}

func TestCodebooksRefuseWhatNoEncoderWrites(t *testing.T) {
	for codec, tables := range map[string]int{"2bit": 2 * 16, "1bit": 2 * 8} {
		c, f := codecFor(t, codec, 1001, 7)
		valid := c.Append(nil, gradients.Key{}, codectest.Values("gaussian", 5, f.Len()), nil)
		for name, change := range map[string]func(b []byte){
			"NaN":               func(b []byte) { binary.LittleEndian.PutUint32(b[16:], 0x7fc00000) },
			"infinity":          func(b []byte) { binary.LittleEndian.PutUint32(b[16+tables-4:], 0xff800000) },
			"above 2^64":        func(b []byte) { binary.LittleEndian.PutUint32(b[16+4:], 0xdf800001) },
			"an index too many": func(b []byte) { b[len(b)-1] |= 0x80 },
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
