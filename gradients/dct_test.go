package gradients_test

import (
	"math"
	"strconv"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
	"pgregory.net/rapid"
)

// dumbDCT is the definition of the orthonormal DCT-II along both sides of a matrix.
func dumbDCT(x gradients.Vec, h, w int) []float64 {
	scale := func(k, n int) float64 {
		if k == 0 {
			return math.Sqrt(1 / float64(n))
		}
		return math.Sqrt(2 / float64(n))
	}
	out := make([]float64, h*w)
	for u := range h {
		for v := range w {
			for r := range h {
				for c := range w {
					out[u*w+v] += float64(x[r*w+c]) * math.Cos(math.Pi*(float64(r)+.5)*float64(u)/float64(h)) *
						math.Cos(math.Pi*(float64(c)+.5)*float64(v)/float64(w))
				}
			}
			out[u*w+v] *= scale(u, h) * scale(v, w)
		}
	}
	return out
}

// With all coefficients sent as float32, the payload holds the definition's, and decodes to the input.
func TestDCTEqualsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.IntRange(2, 24).Draw(t, "side")
		h, w := rapid.IntRange(1, side).Draw(t, "rows"), rapid.IntRange(1, side).Draw(t, "cols")
		l := gradients.Layout{{Name: "a", Shape: []int{h, w}}}
		c, err := gradients.New("dct:"+strconv.Itoa(side*side)+"/"+strconv.Itoa(side)+"+f32", l, l.Fragments()[0])
		must(t, err)
		v := codectest.Values("gaussian", rapid.Uint64().Draw(t, "seed"), h*w)
		src, norm := c.Append(nil, gradients.Key{}, v, nil), gradients.Norm(v)
		for i, want := range dumbDCT(v, h, w) {
			if got := float64(floats(src[16:])[i]); math.Abs(got-want) > 1e-7*norm {
				t.Fatalf("coefficient %d of %d×%d: got %g, want %g", i, h, w, got, want)
			}
		}
		back := make(gradients.Vec, len(v))
		must(t, gradients.Decoded(c, back, src))
		for i, x := range v {
			if math.Abs(float64(back[i]-x)) > 1e-6*norm {
				t.Fatalf("element %d of %d×%d: got %g, want %g", i, h, w, back[i], x)
			}
		}
	})
}

// A plane wave is few coefficients; what is sent of it is nearly all.
func TestDCTGathersWhatIsSmooth(t *testing.T) {
	const n = 128
	l := gradients.Layout{{Name: "a", Shape: []int{n, n}}}
	c, err := gradients.New("dct:32/64+f32", l, l.Fragments()[0])
	must(t, err)
	v, got := make(gradients.Vec, n*n), make(gradients.Vec, n*n)
	for i := range v {
		v[i] = float32(math.Sin(.11*float64(i/n) + .07*float64(i%n)))
	}
	must(t, gradients.Decoded(c, got, c.Append(nil, gradients.Key{}, v, nil)))
	gradients.Sub(got, got, v)
	if lost := gradients.Norm(got) / gradients.Norm(v); lost > .1 {
		t.Errorf("%.3f of a smooth matrix is lost", lost)
	}
}

// Sums of coefficients: the mean of two payloads is the transform of the mean of their coefficients.
func TestDCTSumsEqualTheirTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := gradients.Layout{{Name: "a", Shape: []int{34, 20}}, {Name: "b", Shape: []int{50}, Off: 680}}
		c, err := gradients.New("dct:9/16+f32", l, l.Fragments()[0])
		must(t, err)
		n, total := l.Len(), 0.0
		sum, acc := c.NewSum(), make([]float64, n)
		for range rapid.IntRange(1, 5).Draw(t, "payloads") {
			w := rapid.Float32Range(0, 100).Draw(t, "weight")
			src := c.Append(nil, gradients.Key{}, codectest.Values("gaussian", rapid.Uint64().Draw(t, "seed"), n), nil)
			one := make(gradients.Vec, n)
			must(t, sum.Add(w, src))
			must(t, gradients.Decoded(c, one, src))
			for i, x := range one {
				acc[i] += float64(w) * float64(x)
			}
			total += float64(w)
		}
		got := make(gradients.Vec, n)
		sum.Mean(got)
		for i, x := range acc {
			if total != 0 && math.Abs(float64(got[i])-x/total) > 1e-6 {
				t.Fatalf("mean %d: got %g, want %g", i, got[i], x/total)
			}
		}
	})
}
