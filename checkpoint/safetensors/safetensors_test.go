package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/skein-train/skein/gradients"
)

func file(t testing.TB, tensors ...Tensor) []byte {
	t.Helper()
	r, size, err := Reader(tensors)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size {
		t.Fatalf("%d bytes, announced %d, error %v", len(b), size, err)
	}
	return b
}

// raw builds a file around any header.
func raw(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func read(b []byte) ([]Tensor, error) {
	tensors, _, err := Read(bytes.NewReader(b), int64(len(b)), 1<<20)
	return tensors, err
}

func TestBytesByHand(t *testing.T) {
	got := file(t, Tensor{Name: "a", Shape: []int{2}, Values: gradients.Vec{1, -2}}, Tensor{Name: "b", Shape: []int{1, 1}, Values: gradients.Vec{0.5}})
	header := `{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1,1],"data_offsets":[8,12]}}`
	header += strings.Repeat(" ", -len(header)&7)
	want := raw(header, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0x3f})
	if !bytes.Equal(got, want) {
		t.Fatalf("got\n%q, want\n%q", got, want)
	}
}

func TestRoundTripsBitForBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in []Tensor
		for name, rows := range rapid.MapOf(rapid.StringN(1, 8, -1), rapid.IntRange(1, 9)).Draw(t, "tensors") {
			v := make(gradients.Vec, 3*rows)
			for i := range v {
				v[i] = math.Float32frombits(rapid.Uint32().Draw(t, "bits")) // every pattern, NaN too
			}
			if name == "__metadata__" || strings.ContainsRune(name, '�') {
				continue
			}
			in = append(in, Tensor{Name: name, Shape: []int{rows, 3}, Values: v})
		}
		r, size, err := Reader(in)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "byte by byte") {
			r = iotest.OneByteReader(r)
		}
		out, _, err := Read(r, size, 1<<20)
		if err != nil || len(out) != len(in) {
			t.Fatalf("%d of %d tensors, error %v", len(out), len(in), err)
		}
		for i := range in {
			same := in[i].Name == out[i].Name && in[i].Shape[0] == out[i].Shape[0] && len(out[i].Shape) == 2
			if !same || !bytes.Equal(gradients.AppendBytes(nil, in[i].Values), gradients.AppendBytes(nil, out[i].Values)) {
				t.Fatalf("tensor %d changed", i)
			}
		}
	})
}

func TestTensorsComeInTheOrderOfTheirValues(t *testing.T) {
	out, err := read(raw(`{"z":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"y":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, make([]byte, 8)))
	if err != nil || len(out) != 2 || out[0].Name != "y" || out[1].Name != "z" {
		t.Fatalf("%v, error %v", out, err)
	}
}

func TestRefusesHostileFiles(t *testing.T) {
	one := `{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	for name, b := range map[string][]byte{
		"empty":              {},
		"header beyond file": append(binary.LittleEndian.AppendUint64(nil, 100), "{}"...),
		"huge header":        append(binary.LittleEndian.AppendUint64(nil, math.MaxUint64), "{}"...),
		"no object":          raw(`[]`, nil),
		"unfinished":         raw(`{"a":`+one, make([]byte, 4)),
		"rest after header":  raw(`{}{}`, nil),
		"twice":              raw(`{"a":`+one+`,"a":`+one+`}`, make([]byte, 4)),
		"gap":                raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, make([]byte, 8)),
		"overlap":            raw(`{"a":`+one+`,"b":`+one+`}`, make([]byte, 4)),
		"too short":          raw(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, make([]byte, 4)),
		"too long":           raw(`{"a":`+one+`}`, make([]byte, 8)),
		"negative shape":     raw(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, make([]byte, 4)),
		"product overflows":  raw(`{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]}}`, make([]byte, 4)),
		"other type":         raw(`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}`, make([]byte, 4)),
		"unknown field":      raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, make([]byte, 4)),
		"metadata of others": raw(`{"__metadata__":{"a":1}}`, nil),
	} {
		if _, err := read(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", name, err)
		}
	}
	big := file(t, Tensor{Name: "a", Shape: []int{3}, Values: make(gradients.Vec, 3)})
	if _, _, err := Read(bytes.NewReader(big), int64(len(big)), 2); !errors.Is(err, ErrFormat) {
		t.Errorf("3 values where 2 are allowed: error %v", err)
	}
	if _, _, err := Read(bytes.NewReader(append(big, 0)), int64(len(big)), 3); !errors.Is(err, ErrFormat) {
		t.Errorf("a file longer than it says: error %v", err)
	}
}

func TestRefusesAShapeThatDoesNotFit(t *testing.T) {
	if _, _, err := Reader([]Tensor{{Name: "a", Shape: []int{2, 2}, Values: make(gradients.Vec, 3)}}); err == nil {
		t.Fatal("accepted")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(file(f))
	f.Add(file(f, Tensor{Name: "a", Shape: []int{2}, Values: gradients.Vec{1, 2}}, Tensor{Name: "b", Shape: nil, Values: gradients.Vec{3}}))
	f.Add(raw(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, make([]byte, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		tensors, err := read(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("error %v does not wrap ErrFormat", err)
			}
			return
		}
		n := 0
		for _, x := range tensors {
			n += len(x.Values)
		}
		if 4*n > len(b) {
			t.Fatalf("%d values out of %d bytes", n, len(b))
		}
	})
}

func BenchmarkReader(b *testing.B) {
	v := make(gradients.Vec, 16<<20)
	b.SetBytes(int64(4 * len(v)))
	for b.Loop() {
		r, _, err := Reader([]Tensor{{Name: "a", Shape: []int{len(v)}, Values: v}})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 256<<10)); err != nil {
			b.Fatal(err)
		}
	}
}
