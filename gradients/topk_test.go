package gradients_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
	"pgregory.net/rapid"
)

// By hand: the two largest of every eight; 5 comes twice, and the first one wins. Gaps 1 and 3, then 0 and 0, and from the run of
// three, 0 and 1: 1 + 0 takes the fewest bits.
func TestTopKByHand(t *testing.T) {
	got := encodeOne(t, "topk:2/8+f32",
		1, -5, 1, 0, 0, 4, 3, -4 /**/, 7, 6, 5, 5, 0, 0, 0, 0 /**/, 2, 0, -3)
	// m = 0: 01 0001 | 1 1 | 1 01, lowest bit first
	want := append([]byte{0, 0b1110_0010, 0b101}, floatBytes(-5, 4, 7, 6, 2, -3)...)
	if !bytes.Equal(got, want) {
		t.Errorf("got  %08b % x\nwant %08b % x", got[:3], got[3:], want[:3], want[3:])
	}
}

// A chunk that sends everything needs no places.
func TestTopKOfEverythingHasNoHead(t *testing.T) {
	got := encodeOne(t, "topk:4/4+f32", 1, 2, 3, 4, 5, 6)
	if want := floatBytes(1, 2, 3, 4, 5, 6); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

// dumbTop is the definition: sort by magnitude, then by place.
func dumbTop(v gradients.Vec, count int) []int {
	at := make([]int, len(v))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(i, j int) int {
		a, b := math.Abs(float64(v[i])), math.Abs(float64(v[j]))
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	return at[:count]
}

// What f32 top-k decodes to is the input where the definition says so, and zero elsewhere, whatever chunks came before.
func TestTopKEqualsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 2, 31, 1000, 9000}).Draw(t, "n")
		of := rapid.SampledFrom([]int{1, 3, 64, 4096, 65536}).Draw(t, "of")
		count := rapid.IntRange(1, min(of, 200)).Draw(t, "count")
		c, _ := codecFor(t, "topk:"+strconv.Itoa(count)+"/"+strconv.Itoa(of)+"+f32", n)
		v := codectest.Values(rapid.SampledFrom([]string{"gaussian", "sparse", "wide", "zero"}).Draw(t, "kind"), rapid.Uint64().Draw(t, "seed"), n)
		if rapid.Bool().Draw(t, "ties") {
			for i, x := range v {
				v[i] = float32(math.Round(float64(min(max(x, -1), 1)) * 200))
			}
		}
		want, got := make(gradients.Vec, n), make(gradients.Vec, n)
		for lo := 0; lo < n; lo += of {
			chunk := v[lo:min(lo+of, n)]
			for _, i := range dumbTop(chunk, min(count, len(chunk))) {
				want[lo+i] = chunk[i]
			}
		}
		must(t, gradients.Decoded(c, got, c.Append(nil, gradients.Key{}, v, nil)))
		if !slices.Equal(got, want) {
			t.Fatal("what is sent differs from the definition")
		}
	})
}

// The setting of SparseLoCo over one large matrix and its gains, header and places and tables included.
func TestSparseLoCoIsSmall(t *testing.T) {
	for _, name := range []string{"topk:64/4096+2bit", "topk:64/64x64+2bit"} {
		l := gradients.Layout{{Name: "matrix", Shape: []int{1024, 1024}}, {Name: "gain", Shape: []int{1024}, Off: 1 << 20}}
		c, err := gradients.New(name, l, l.Fragments()[0])
		must(t, err)
		v := codectest.Values("gaussian", 1, l.Len())
		src := c.Append(nil, gradients.Key{}, v, nil)
		if bits := 8 * float64(len(src)) / float64(l.Len()); bits > .155 {
			t.Errorf("%s: %.4f bits a parameter", name, bits)
		}
	}
}

func TestTopKRefusesWhatNoEncoderWrites(t *testing.T) {
	c, f := codecFor(t, "topk:2/8+int8", 8, 3)
	v := gradients.Vec{1, -5, 1, 0, 0, 4, 3, -4, 2, 0, -3}
	valid := c.Append(nil, gradients.Key{}, v, nil)
	if body := []byte{1, 0b11011, 0, 0b101}; !bytes.Equal(valid[16:20], body) { // 1·1 01·1 | 1 01
		t.Fatalf("got head %08b, want %08b", valid[16:20], body)
	}
	for name, head := range map[string][]byte{
		"parameter 16":     {16, 0b11011, 0, 0b101},
		"parameter 255":    {255, 0b11011, 0, 0b101},
		"too small":        {0, 0b100010, 0, 0b101},
		"too large":        {2, 0b111101, 0, 0b101},
		"behind the end":   {1, 0b100011, 0, 0b101},
		"far behind it":    {1, 0, 0, 0, 0, 0, 0, 0, 0, 0b101},
		"a bit too many":   {1, 0b111011, 0, 0b101},
		"a bit at the end": {1, 0b11011, 0, 0b1101},
		"a byte too many":  {1, 0b11011, 0, 0b101, 0},
		"a byte between":   {1, 0b11011, 0, 0, 0b101},
		"a byte too few":   {1, 0b11011, 0},
		"a place too few":  {1, 0b11011, 0, 0b001},
		"nothing":          {},
	} {
		src := slices.Concat(valid[:16], head, valid[20:])
		if err := c.Check(src); !errors.Is(err, gradients.ErrCorrupt) {
			t.Errorf("%s: got error %v", name, err)
		}
		codectest.Hostile(t, c, f.Len(), src)
	}
}
