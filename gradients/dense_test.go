package gradients_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
	"pgregory.net/rapid"
)

// dumbDecode reads a plain payload of a fragment that is one tensor, value by value, as docs/wire.md describes it.
func dumbDecode(name string, src []byte, n int) gradients.Vec {
	v, body := make(gradients.Vec, n), src[16:]
	for i := range v {
		switch name {
		case "f32":
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[4*i:]))
		case "bf16":
			v[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(body[2*i:])) << 16)
		case "int8":
			scale := math.Float32frombits(binary.LittleEndian.Uint32(body[4*(i/4096):]))
			step := scale / 127
			v[i] = float32(int8(body[4*((n+4095)/4096)+i])) * step
		case "e3m0", "int4":
			scale := math.Float32frombits(binary.LittleEndian.Uint32(body[4*(i/4096):]))
			code := body[4*((n+4095)/4096)+i/2] >> (4 * (i % 2)) & 15
			v[i] = float32(int8(code<<4)>>4) * (scale / 7)
			if name == "e3m0" {
				v[i] = scale * [...]float32{0, 1. / 64, 1. / 32, 1. / 16, 1. / 8, 1. / 4, 1. / 2, 1}[code&7]
				if code > 8 {
					v[i] = -v[i]
				}
			}
		case "2bit":
			code := body[16+i/4] >> (2 * (i % 4)) & 3
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[4*int(code):]))
		case "1bit":
			code := body[8+i/8] >> (i % 8) & 1
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[4*int(code):]))
		}
	}
	return v
}

func valueFormats() []string { return []string{"f32", "bf16", "int8", "e3m0", "int4", "2bit", "1bit"} }

// The twin decodes everything first and then sums in float32, in the order of the calls. The packed codec must give
// the very same mean.
func TestSumEqualsItsTwin(t *testing.T) {
	for _, name := range valueFormats() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				n := rapid.SampledFrom([]int{1, 7, 130, 4097}).Draw(t, "n")
				plain, _ := codecFor(t, name, n)
				packed, _ := codecFor(t, name+"+zstd", n)
				sum, packedSum := plain.NewSum(), packed.NewSum()
				acc, total := make(gradients.Vec, n), float32(0)
				for range rapid.IntRange(1, 5).Draw(t, "payloads") {
					kind := rapid.SampledFrom([]string{"gaussian", "sparse", "wide", "zero"}).Draw(t, "kind")
					v := codectest.Values(kind, rapid.Uint64().Draw(t, "seed"), n)
					w := rapid.Float32Range(0, 1e6).Draw(t, "weight")
					src := plain.Append(nil, gradients.Key{}, v, nil)
					must(t, sum.Add(w, src))
					must(t, packedSum.Add(w, packed.Append(nil, gradients.Key{}, v, nil)))
					for i, x := range dumbDecode(name, src, n) {
						product := w * x
						acc[i] += float32(product)
					}
					total += w
				}
				got, gotPacked := make(gradients.Vec, n), make(gradients.Vec, n)
				sum.Mean(got)
				packedSum.Mean(gotPacked)
				for i := range acc {
					if total != 0 {
						acc[i] /= total
					}
				}
				if !slices.Equal(got, acc) {
					t.Fatal("the mean differs from its twin")
				}
				if !slices.Equal(got, gotPacked) {
					t.Fatal("packed payloads have another mean")
				}
			})
		})
	}
}

// Bytes of which only the exponents repeat: packing must pay for every codec with bits to spare, and never make a payload longer.
func TestPackingPays(t *testing.T) {
	const n = 1 << 16
	for _, name := range valueFormats() {
		plain, _ := codecFor(t, name, n)
		packed, _ := codecFor(t, name+"+zstd", n)
		for _, kind := range []string{"gaussian", "sparse", "wide", "zero"} {
			v := codectest.Values(kind, 1, n)
			before := len(plain.Append(nil, gradients.Key{}, v, nil))
			after := len(packed.Append(nil, gradients.Key{}, v, nil))
			if after > before || kind != "wide" && name != "1bit" && after > before*97/100 {
				t.Errorf("%s, %s: %d bytes packed to %d", name, kind, before, after)
			}
		}
	}
}

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
