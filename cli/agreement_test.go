package cli

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/skein-train/skein/gradients"
)

// plainCosine is the mean cosine over all pairs.
func plainCosine(vs []gradients.Vec) float64 {
	var sum float64
	var pairs int
	for i, a := range vs {
		for _, b := range vs[:i] {
			var dot float64
			for k := range a {
				dot += float64(a[k]) * float64(b[k])
			}
			sum += dot / gradients.Norm(a) / gradients.Norm(b)
			pairs++
		}
	}
	return sum / float64(pairs)
}

func TestAgreementIsTheMeanCosine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dim := rapid.IntRange(1, 20).Draw(t, "dim")
		all := agreement{sum: make(gradients.Vec, dim)}
		var vs []gradients.Vec
		for _, v := range rapid.SliceOfN(rapid.SliceOfN(rapid.Float32Range(-100, 100), dim, dim), 0, 6).Draw(t, "vectors") {
			if all.add(v); gradients.Norm(v) > 0 {
				vs = append(vs, v)
			}
		}
		want := 1.0
		if len(vs) > 1 {
			want = plainCosine(vs)
		}
		if got := all.mean(); math.Abs(got-want) > 1e-5 {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}
