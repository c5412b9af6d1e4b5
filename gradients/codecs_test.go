package gradients_test

import (
	"strings"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
	"pgregory.net/rapid"
)

func TestEveryCodecConforms(t *testing.T) {
	for _, name := range append(gradients.Names(), sparseNames()...) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			codectest.Run(t, maker(name))
		})
	}
}

func maker(name string) codectest.Make {
	return func(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
		return gradients.New(name, l, f)
	}
}

func TestNewNamesWhatItKnows(t *testing.T) {
	l := codectest.Layout()
	_, err := gradients.New("int9", l, l.Fragments()[0])
	if err == nil {
		t.Fatal("int9 is no codec")
	}
	for _, name := range []string{`"int9"`, "f32", "bf16", "int8", "e3m0", "int4", "2bit", "1bit", "topk:64/4096+2bit", "lowrank:"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("error %q does not name %s", err, name)
		}
	}
	if _, err := gradients.New("f32", l, gradients.Fragment{ID: 1, Lo: 15, Hi: 20}); err == nil {
		t.Error("a range that is no fragment of the layout was taken")
	}
}

// codecFor builds a codec for one fragment with tensors of these lengths.
func codecFor(t rapid.TB, name string, lengths ...int) (gradients.Codec, gradients.Fragment) {
	var l gradients.Layout
	for i, n := range lengths {
		l = append(l, gradients.Tensor{Name: string(rune('a' + i)), Shape: []int{n}, Off: l.Len()})
	}
	c, err := gradients.New(name, l, l.Fragments()[0])
	if err != nil {
		t.Fatal(err)
	}
	return c, l.Fragments()[0]
}

// sparseNames adds to Names what they leave out: few and many values, short and long chunks, bits packed and not.
func sparseNames() []string {
	return []string{"topk:3/100+f32", "topk:1/1+int8", "topk:100/65536+bf16+zstd", "topk:16/16x16+e3m0+zstd",
		"mask:3/7+f32+zstd", "lowrank:1+f32", "lowrank:200+int8+zstd"}
}
