package gradients_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/gradients"
)

// goldenDir is a folder of .npy files with outputs of public implementations, which SKEIN_GOLDEN names.
func goldenDir(t *testing.T) string {
	dir := os.Getenv("SKEIN_GOLDEN")
	if _, err := os.Stat(filepath.Join(dir, "quant_index.json")); err != nil || dir == "" {
		t.Skip("no golden files: point SKEIN_GOLDEN at them to compare")
	}
	return dir
}

func TestBlockCodecsEqualPublicOnes(t *testing.T) {
	dir := goldenDir(t)
	for _, codec := range []string{"int8", "e3m0"} {
		names, _ := filepath.Glob(filepath.Join(dir, "quant_*_"+codec+".npy"))
		if len(names) == 0 {
			t.Errorf("no golden files for %s", codec)
		}
		for _, path := range names {
			name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "quant_"), "_"+codec+".npy")
			t.Run(codec+"/"+name, func(t *testing.T) {
				v := floats(npy(t, filepath.Join(dir, "in_"+name+"_s1.npy")))
				c, _ := codecFor(t, codec, len(v))
				src := c.Append(nil, gradients.Key{}, v, nil)
				codes := npy(t, path)
				if codec == "e3m0" {
					codes = pairs(codes)
				}
				scales := npy(t, filepath.Join(dir, "quant_"+name+"_scale.npy"))
				if want := slices.Concat(scales, codes); !bytes.Equal(src[16:], want) {
					t.Error("scales or codes differ")
				}
				got := make(gradients.Vec, len(v))
				must(t, gradients.Decoded(c, got, src))
				want := floats(npy(t, filepath.Join(dir, "quant_"+name+"_"+codec+"dec.npy")))
				if !slices.Equal(got, want) {
					t.Error("values differ")
				}
			})
		}
	}
}

// pairs puts two codes into each byte, the first one in the low half.
func pairs(codes []byte) []byte {
	if len(codes)%2 == 1 {
		codes = append(codes, 0)
	}
	out := make([]byte, len(codes)/2)
	for i := range out {
		out[i] = codes[2*i] | codes[2*i+1]<<4
	}
	return out
}

// npy returns the data behind the header of a version 1.0 file.
func npy(t *testing.T, path string) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b[10+int(binary.LittleEndian.Uint16(b[8:])):]
}

func floats(b []byte) gradients.Vec {
	v := make(gradients.Vec, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

// replay plays two steps of error feedback over the inputs of public optimisers and compares what arrives and what stays.
// Which one of equal magnitudes they send is not defined, so the residual of the first step is theirs where that matters.
func replay(t *testing.T, codec, public string, decay float32) {
	dir := goldenDir(t)
	shapes := map[string][]int{"m64x64": {64, 64}, "m128x192": {128, 192}, "v4096": {4096}, "v5000": {5000},
		"zeros128x64": {128, 64}, "ties64x64": {64, 64}, "allzero64x64": {64, 64}}
	for input, shape := range shapes {
		t.Run(public+"/"+input, func(t *testing.T) {
			l := gradients.Layout{{Name: "a", Shape: shape}}
			c, err := gradients.New(codec, l, l.Fragments()[0])
			must(t, err)
			residual := make(gradients.Vec, l.Len())
			for _, step := range []string{"_s1", "_s2"} {
				read := func(what string) gradients.Vec {
					return floats(npy(t, filepath.Join(dir, public+"_"+input+step+what+".npy")))
				}
				a, got := floats(npy(t, filepath.Join(dir, "in_"+input+step+".npy"))), make(gradients.Vec, l.Len())
				gradients.Compensate(a, residual, decay)
				must(t, gradients.Decoded(c, got, c.Append(nil, gradients.Key{}, a, nil)))
				want := read("_dec")
				if input == "ties64x64" || input == "zeros128x64" {
					compareSizes(t, got, want)
				} else {
					compare(t, "decoded", got, want)
				}
				gradients.Settle(residual, a, got)
				if input == "ties64x64" {
					residual = read("_ef")
				} else if input != "zeros128x64" {
					compare(t, "residual", residual, read("_ef"))
				}
			}
		})
	}
}

// compare allows what sums in another order may change.
func compare(t *testing.T, what string, got, want gradients.Vec) {
	t.Helper()
	scale := 0.0
	for _, x := range want {
		scale = max(scale, math.Abs(float64(x)))
	}
	for i := range want {
		if off := math.Abs(float64(got[i] - want[i])); off > 5e-6*scale {
			t.Fatalf("%s: value %d: got %g, want %g", what, i, got[i], want[i])
		}
	}
}

// compareSizes compares magnitudes wherever they are.
func compareSizes(t *testing.T, got, want gradients.Vec) {
	t.Helper()
	sorted := func(v gradients.Vec) gradients.Vec {
		v = slices.Clone(v)
		for i, x := range v {
			v[i] = max(x, -x)
		}
		slices.Sort(v)
		return v
	}
	compare(t, "magnitudes", sorted(got), sorted(want))
}

func TestTopKEqualsSparseLoCo(t *testing.T) {
	replay(t, "topk:64/64x64+f32", "sl_top64_noq", .95)
	replay(t, "topk:64/64x64+2bit", "sl_top64_q4", .95)
}

func TestDCTEqualsDeMo(t *testing.T) {
	replay(t, "dct:32/64+f32", "demo_dct", .999)
}

// Two ranks whose places overlap in one: the public code's mean counts the ranks that sent a place, the paper's counts all.
func TestBothMeansEqualSparseLoCo(t *testing.T) {
	dir := goldenDir(t)
	l := gradients.Layout{{Name: "a", Shape: []int{64, 64}}}
	c, err := gradients.New("topk:64/64x64+2bit", l, l.Fragments()[0])
	must(t, err)
	all, senders := c.NewSum(), gradients.BySender(c).NewSum()
	for _, step := range []string{"1", "2"} {
		src := c.Append(nil, gradients.Key{}, floats(npy(t, filepath.Join(dir, "in_m64x64_s"+step+".npy"))), nil)
		must(t, all.Add(1, src))
		must(t, senders.Add(1, src))
	}
	got := make(gradients.Vec, 4096)
	all.Mean(got)
	compare(t, "all", got, floats(npy(t, filepath.Join(dir, "agg2_plain.npy"))))
	senders.Mean(got)
	compare(t, "senders", got, floats(npy(t, filepath.Join(dir, "agg2_source.npy"))))
}
