package gradients_test

import (
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
)

// One target per decoder. The fragment is small, because long inputs slow the fuzzer down a hundredfold.
func fuzzCodec(f *testing.F, name string, id byte) {
	l := gradients.Layout{{Name: "a", Shape: []int{10, 15}}, {Name: "b", Shape: []int{7}, Off: 150}, {Name: "c", Shape: []int{1}, Off: 157}}
	frag := l.Fragments()[0]
	c, err := gradients.New(name, l, frag)
	must(f, err)
	for i, kind := range []string{"gaussian", "sparse", "wide", "zero"} {
		src := c.Append(nil, gradients.Key{}, codectest.Values(kind, uint64(i), frag.Len()), slots(c, frag.Len()))
		f.Add(src)
		f.Add(src[:len(src)/2])
	}
	f.Add(append(header(id, 1, frag.Len()), zstdFrame(uint64(c.MaxSize()-16))...))
	f.Fuzz(func(t *testing.T, src []byte) { bounded(t, name, c, frag.Len(), src) })
}

func FuzzF32(f *testing.F)      { fuzzCodec(f, "f32", 1) }
func FuzzBF16(f *testing.F)     { fuzzCodec(f, "bf16", 2) }
func FuzzInt8(f *testing.F)     { fuzzCodec(f, "int8", 3) }
func FuzzF32Zstd(f *testing.F)  { fuzzCodec(f, "f32+zstd", 1) }
func FuzzBF16Zstd(f *testing.F) { fuzzCodec(f, "bf16+zstd", 2) }
func FuzzInt8Zstd(f *testing.F) { fuzzCodec(f, "int8+zstd", 3) }

func FuzzE3M0(f *testing.F)     { fuzzCodec(f, "e3m0", 4) }
func FuzzInt4(f *testing.F)     { fuzzCodec(f, "int4", 5) }
func Fuzz2Bit(f *testing.F)     { fuzzCodec(f, "2bit", 6) }
func Fuzz1Bit(f *testing.F)     { fuzzCodec(f, "1bit", 7) }
func FuzzTopK(f *testing.F)     { fuzzCodec(f, "topk:5/64+2bit", 6) }
func FuzzTopKTile(f *testing.F) { fuzzCodec(f, "topk:20/16x16+int8+zstd", 3) }
func FuzzMask(f *testing.F)     { fuzzCodec(f, "mask:2/5+bf16", 2) }
func FuzzDCT(f *testing.F)      { fuzzCodec(f, "dct:4/16+f32", 1) }
func FuzzLowRank(f *testing.F)  { fuzzCodec(f, "lowrank:2+bf16", 2) }

func FuzzDecodeVec(f *testing.F) {
	f.Add(gradients.AppendBytes(nil, gradients.Vec{1, -2}), 2)
	f.Fuzz(func(t *testing.T, src []byte, n int) {
		v := make(gradients.Vec, max(0, min(n, 1000)))
		if err := gradients.Decode(v, src); (err == nil) != (len(src) == 4*len(v)) {
			t.Fatalf("%d bytes for %d values: %v", len(src), len(v), err)
		}
		if len(src) == 4*len(v) && string(gradients.AppendBytes(nil, v)) != string(src) {
			t.Fatal("bytes changed on the way through a Vec")
		}
	})
}
