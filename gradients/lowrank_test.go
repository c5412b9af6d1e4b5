package gradients_test

import (
	"errors"
	"math"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

func matrixCodec(t rapid.TB, name string, rows, cols int) gradients.Codec {
	l := gradients.Layout{{Name: "a", Shape: []int{rows, cols}}}
	c, err := gradients.New(name, l, l.Fragments()[0])
	must(t, err)
	return c
}

// A matrix of rank two needs two columns, and a third one has nothing to add.
func TestLowRankKeepsWhatHasLowRank(t *testing.T) {
	const rows, cols = 30, 40
	a, b := codectest.Values("gaussian", 1, 2*rows), codectest.Values("gaussian", 2, 2*cols)
	v, got := make(gradients.Vec, rows*cols), make(gradients.Vec, rows*cols)
	for i := range v {
		v[i] = a[2*(i/cols)]*b[2*(i%cols)] + a[2*(i/cols)+1]*b[2*(i%cols)+1]
	}
	for _, name := range []string{"lowrank:2+f32", "lowrank:3+f32"} {
		c := matrixCodec(t, name, rows, cols)
		must(t, gradients.Decoded(c, got, c.Append(nil, gradients.Key{}, v, slots(c, len(v)))))
		gradients.Sub(got, got, v)
		if lost := gradients.Norm(got) / gradients.Norm(v); lost > 1e-6 {
			t.Errorf("%s: %g of a matrix of rank 2 is lost", name, lost)
		}
	}
}

// Departure after departure of the same matrix, the factors approach the best ones there are: those of its singular values.
func TestLowRankApproachesTheSingularValues(t *testing.T) {
	const rows, cols, rank = 40, 60, 4
	v, got := codectest.Values("gaussian", 1, rows*cols), make(gradients.Vec, rows*cols)
	wide := make([]float64, len(v))
	for i, x := range v {
		wide[i] = float64(x)
	}
	var svd mat.SVD
	if !svd.Factorize(mat.NewDense(rows, cols, wide), mat.SVDNone) {
		t.Fatal("no singular values")
	}
	best := 0.0
	for _, s := range svd.Values(nil)[rank:] {
		best += s * s
	}
	best = math.Sqrt(best)
	c := matrixCodec(t, "lowrank:4+f32", rows, cols)
	st, first, lost := slots(c, len(v)), 0.0, 0.0
	for round := range 60 {
		must(t, gradients.Decoded(c, got, c.Append(nil, gradients.Key{}, v, st)))
		gradients.Sub(got, got, v)
		if lost = gradients.Norm(got); round == 0 {
			first = lost
		}
	}
	if lost > 1.002*best || first < 1.02*best {
		t.Errorf("lost %g at first and %g at last; the least is %g", first, lost, best)
	}
}

// The dumb twin of the decoder: payload values in plain loops.
func TestLowRankEqualsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, cols := rapid.IntRange(1, 20).Draw(t, "rows"), rapid.IntRange(1, 20).Draw(t, "cols")
		c := matrixCodec(t, "lowrank:3+f32", rows, cols)
		v := codectest.Values(rapid.SampledFrom([]string{"gaussian", "sparse", "zero", "wide"}).Draw(t, "kind"), rapid.Uint64().Draw(t, "seed"), rows*cols)
		src := c.Append(nil, gradients.Key{}, v, slots(c, len(v)))
		sent, got := floats(src[16:]), make(gradients.Vec, len(v))
		must(t, gradients.Decoded(c, got, src))
		if 3*(rows+cols) >= rows*cols {
			if string(src[16:]) != string(gradients.AppendBytes(nil, v)) {
				t.Fatal("a matrix no larger than its factors is not sent as it is")
			}
			return
		}
		for i := range rows {
			for j := range cols {
				want := float32(0)
				for r := range 3 {
					product := sent[3*i+r] * sent[3*rows+3*j+r]
					want += product
				}
				if want = min(max(want, -gradients.MaxMagnitude), gradients.MaxMagnitude); got[i*cols+j] != want {
					t.Fatalf("(%d, %d): got %g, want %g", i, j, got[i*cols+j], want)
				}
			}
		}
	})
}

func TestLowRankRefusesLongColumns(t *testing.T) {
	c := matrixCodec(t, "lowrank:1+f32", 10, 10)
	src := c.Append(nil, gradients.Key{}, codectest.Values("gaussian", 1, 100), slots(c, 100))
	copy(src[16+4*9:], floatBytes(2.5))
	if err := c.NewSum().Add(1, src); !errors.Is(err, gradients.ErrCorrupt) {
		t.Errorf("got error %v", err)
	}
	codectest.Hostile(t, c, 100, src)
	copy(src[16+4*9:], floatBytes(1, gradients.MaxMagnitude)) // Q may be as large as any value
	must(t, c.NewSum().Add(1, src))
}
