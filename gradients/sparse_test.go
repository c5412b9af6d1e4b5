package gradients_test

import (
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
	"pgregory.net/rapid"
)

// The twin decodes every payload by itself and sums whole vectors in float32, in the order of the calls.
func TestSparseSumsEqualTheirTwin(t *testing.T) {
	for _, name := range []string{"topk:3/50+f32", "topk:5/16x16+2bit", "topk:1/9+int8+zstd", "mask:2/5+f32"} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				l := gradients.Layout{{Name: "a", Shape: []int{34, 20}}, {Name: "b", Shape: []int{50}, Off: 680}}
				n := l.Len()
				c, err := gradients.New(name, l, l.Fragments()[0])
				must(t, err)
				other, err := gradients.New(name, l, l.Fragments()[0])
				must(t, err)
				sum, senders := c.NewSum(), gradients.BySender(other).NewSum()
				acc, who, total := make(gradients.Vec, n), make(gradients.Vec, n), float32(0)
				for p := range rapid.IntRange(1, 5).Draw(t, "payloads") {
					v := codectest.Values("gaussian", rapid.Uint64().Draw(t, "seed"), n)
					for i := range v {
						if v[i] == 0 {
							v[i] = 1 // a zero that is sent looks like none
						}
					}
					w := rapid.Float32Range(0, 1e6).Draw(t, "weight")
					src := c.Append(nil, gradients.Key{Departure: uint64(p)}, v, nil)
					must(t, sum.Add(w, src))
					must(t, senders.Add(w, src))
					one := make(gradients.Vec, n)
					must(t, gradients.Decoded(c, one, src))
					for i, x := range one {
						product := w * x
						acc[i] += float32(product)
						if x != 0 {
							who[i] += w
						}
					}
					total += w
				}
				got, gotSenders := make(gradients.Vec, n), make(gradients.Vec, n)
				sum.Mean(got)
				senders.Mean(gotSenders)
				for i := range acc {
					mean, by := float32(0), float32(0)
					if total != 0 {
						mean = acc[i] / total
					}
					if who[i] != 0 {
						by = acc[i] / who[i]
					}
					if got[i] != mean {
						t.Fatalf("mean %d: got %g, want %g", i, got[i], mean)
					}
					if gotSenders[i] != by {
						t.Fatalf("mean of the senders %d: got %g, want %g", i, gotSenders[i], by)
					}
				}
			})
		})
	}
}
