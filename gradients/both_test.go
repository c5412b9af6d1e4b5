package gradients_test

import (
	"slices"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
	"pgregory.net/rapid"
)

func both(t testing.TB, name string) (c gradients.Codec, n int) {
	t.Helper()
	f := codectest.Layout().Fragments()[1]
	one, err := gradients.New(name, codectest.Layout(), f)
	if err == nil {
		c, err = gradients.Both(one, f.Len())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, f.Len()
}

// The sum of doubled payloads is the sum of the first parts beside the sum of the second ones.
func TestBothPartsAreSummedAlike(t *testing.T) {
	for _, name := range []string{"f32", "int8", "int8+zstd"} {
		c, n := both(t, name)
		one, _ := gradients.New(name, codectest.Layout(), codectest.Layout().Fragments()[1])
		rapid.Check(t, func(t *rapid.T) {
			sum, first, second := c.NewSum(), one.NewSum(), one.NewSum()
			for range rapid.IntRange(1, 3).Draw(t, "workers") {
				a, b := codectest.Values("gaussian", rapid.Uint64().Draw(t, "a"), n), codectest.Values("sparse", rapid.Uint64().Draw(t, "b"), n)
				payload := c.Append(nil, gradients.Key{}, slices.Concat(a, b), nil)
				if len(payload) > c.MaxSize() || c.Check(payload) != nil || sum.Add(2, payload) != nil {
					t.Fatal("a payload of its own is refused")
				}
				_ = first.Add(2, one.Append(nil, gradients.Key{}, a, nil))
				_ = second.Add(2, one.Append(nil, gradients.Key{}, b, nil))
			}
			got, want := make(gradients.Vec, 2*n), make(gradients.Vec, 2*n)
			sum.Mean(got)
			first.Mean(want[:n])
			second.Mean(want[n:])
			if !slices.Equal(got, want) {
				t.Fatal("the parts are mixed up")
			}
		})
	}
}

func FuzzBoth(f *testing.F) {
	c, n := both(f, "int8")
	f.Add(c.Append(nil, gradients.Key{}, codectest.Values("gaussian", 1, 2*n), nil))
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, src []byte) { codectest.Hostile(t, c, 2*n, src) })
}
