package gradients_test

import (
	"math"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
)

func directional(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
	c, err := gradients.New("f32", l, f)
	if err != nil {
		return nil, err
	}
	return gradients.DirectionAverage(c, l.In(f), func(t gradients.Tensor) bool { return len(t.Shape) > 1 }), nil
}

func TestDirectionsAndLengthsAreAveragedApart(t *testing.T) {
	l := gradients.Layout{{Name: "matrix", Shape: []int{1, 2}}, {Name: "vector", Shape: []int{2}, Off: 2}}
	c, err := directional(l, l.Fragments()[0])
	if err != nil {
		t.Fatal(err)
	}
	sum, mean := c.NewSum(), make(gradients.Vec, 4)
	add := func(weight float32, v gradients.Vec) {
		t.Helper()
		if err := sum.Add(weight, c.Append(nil, gradients.Key{}, v, nil)); err != nil {
			t.Fatal(err)
		}
	}
	add(1, gradients.Vec{3, 4, 3, 4}) // length 5, direction .6 .8
	add(3, gradients.Vec{0, 1, 0, 1})
	// Lengths: (5 + 3·1)/4 = 2. Directions: (.6, .8 + 3), of length √(.36 + 14.44) = 3.8471.
	sum.Mean(mean)
	for i, want := range []float64{2 * 0.6 / 3.847077, 2 * 3.8 / 3.847077, 0.75, 1.75} {
		if math.Abs(float64(mean[i])-want) > 1e-5 {
			t.Errorf("element %d is %g, want %g", i, mean[i], want)
		}
	}
	add(4, gradients.Vec{0, 0, 0, 0})
	if sum.Mean(mean); math.Abs(float64(mean[1])-3.8/3.847077) > 1e-5 {
		t.Errorf("with somebody who did not move: %v", mean)
	}
}

func TestDirectionAverageIsACodec(t *testing.T) {
	for _, f := range codectest.Layout().Fragments() {
		c, err := directional(codectest.Layout(), f)
		if err != nil {
			t.Fatal(err)
		}
		codectest.Hostile(t, c, f.Len(), c.Append(nil, gradients.Key{}, codectest.Values("gaussian", 1, f.Len()), nil))
		codectest.Hostile(t, c, f.Len(), []byte("SKPG"))
	}
}
