package optim

import (
	"math"
	"testing"
)

func TestCosPiIsTheCosine(t *testing.T) {
	for i := range 1001 {
		x := float64(i) / 1000
		if got, want := cosPi(x), math.Cos(math.Pi*x); math.Abs(got-want) > 4e-16 {
			t.Fatalf("cosPi(%v) = %v, want %v", x, got, want)
		}
	}
}
