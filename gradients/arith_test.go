package gradients_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
	"pgregory.net/rapid"
)

func TestFinite(t *testing.T) {
	for _, k := range []struct {
		x    float64
		want bool
	}{
		{0, true}, {math.Copysign(0, -1), true}, {1e-45, true}, {-1e19, true},
		{gradients.MaxMagnitude, true}, {-gradients.MaxMagnitude, true}, {gradients.MaxMagnitude * 1.000001, false},
		{1e30, false}, {math.Inf(1), false}, {math.Inf(-1), false}, {math.NaN(), false},
	} {
		for at := range 9 {
			v := make(gradients.Vec, 9)
			v[at] = float32(k.x)
			if got := gradients.Finite(v); got != k.want {
				t.Errorf("%g at %d: got %v", k.x, at, got)
			}
		}
	}
	if !gradients.Finite(nil) {
		t.Error("nothing is not finite")
	}
}

func TestAxpyAndSub(t *testing.T) {
	y := gradients.Vec{1, 2}
	gradients.Axpy(y, -.5, gradients.Vec{4, 8})
	if !slices.Equal(y, gradients.Vec{-1, -2}) {
		t.Errorf("axpy: %v", y)
	}
	gradients.Sub(y, gradients.Vec{5, 5}, y)
	if !slices.Equal(y, gradients.Vec{6, 7}) {
		t.Errorf("sub: %v", y)
	}
}

// (1+2^-12)² is 1 + 2^-11 + 2^-24. Rounded on its own the product loses the last term; fused it would leave it.
func TestProductsAreRoundedBeforeTheyAreAdded(t *testing.T) {
	x := float32(1 + 1.0/4096)
	y := gradients.Vec{-(1 + 1.0/2048)}
	gradients.Axpy(y, x, gradients.Vec{x})
	if y[0] != 0 {
		t.Errorf("the product was fused into the sum: %g remains", y[0])
	}
}

func TestBlend(t *testing.T) {
	zero := float32(math.Copysign(0, -1))
	local, anchor := gradients.Vec{8, zero, 3}, gradients.Vec{4, 5, zero}
	for _, k := range []struct {
		alpha float32
		want  gradients.Vec
	}{
		{0, anchor}, {1, local}, {.25, gradients.Vec{5, 3.75, .75}},
	} {
		got := slices.Clone(local)
		gradients.Blend(got, got, anchor, k.alpha)
		if !bytes.Equal(gradients.AppendBytes(nil, got), gradients.AppendBytes(nil, k.want)) {
			t.Errorf("α = %g: got %v, want %v", k.alpha, got, k.want)
		}
	}
}

func TestNormEqualsItsTwin(t *testing.T) {
	if got := gradients.Norm(gradients.Vec{3, 0, 0, 0, -4}); got != 5 {
		t.Errorf("got %g, want 5", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		v := codectest.Values("gaussian", rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 99).Draw(t, "n"))
		var sum float64
		for _, x := range v {
			sum += float64(x) * float64(x)
		}
		if got, want := gradients.Norm(v), math.Sqrt(sum); math.Abs(got-want) > 1e-14*want {
			t.Fatalf("got %g, want %g", got, want)
		}
	})
}

func TestBytesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := codectest.Values("wide", rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 9000).Draw(t, "n"))
		b := gradients.AppendBytes([]byte("x"), v)
		twin := []byte("x")
		for _, x := range v {
			twin = binary.LittleEndian.AppendUint32(twin, math.Float32bits(x))
		}
		if !bytes.Equal(b, twin) {
			t.Fatal("AppendBytes differs from its twin")
		}
		h := sha256.New()
		gradients.HashInto(h, v)
		if [32]byte(h.Sum(nil)) != sha256.Sum256(b[1:]) {
			t.Fatal("HashInto hashes other bytes than AppendBytes writes")
		}
		got := make(gradients.Vec, len(v))
		if err := gradients.Decode(got, b[1:]); err != nil || !slices.Equal(got, v) {
			t.Fatalf("round trip: %v", err)
		}
		if gradients.Decode(got, b) == nil {
			t.Fatal("Decode takes a byte too many")
		}
	})
}
