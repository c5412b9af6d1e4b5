package enginetest

import (
	"math"
	"slices"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
)

// memory checks what the interface says about buffers.
func memory(t *testing.T, e engine.Engine) {
	for _, n := range []int{0, 1, 17, 1000} {
		b := e.Alloc(n)
		if b.Len != n || b.Addr%64 != 0 {
			t.Fatalf("alloc(%d) gave %d elements at %#x, want a multiple of 64", n, b.Len, b.Addr)
		}
		got := make([]float32, n)
		e.Download(got, b)
		if slices.ContainsFunc(got, func(v float32) bool { return v != 0 }) {
			t.Fatalf("alloc(%d) is not zeroed", n)
		}
	}
	b := e.Alloc(10)
	e.Upload(b, []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	got := make([]float32, 3)
	e.Download(got, b.Slice(4, 7))
	if !slices.Equal(got, []float32{4, 5, 6}) {
		t.Errorf("slice [4, 7) holds %v", got)
	}
	if h := e.Host(b); h != nil && !slices.Equal(h[2:4], []float32{2, 3}) {
		t.Errorf("host memory holds %v", h)
	}
	if err := e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// refusals: a clipped step over what is not finite leaves no scalar that anything could follow.
func refusals(t *testing.T, e engine.Engine) {
	x, step, guard := e.Alloc(3), engine.Scalars(e, 3), engine.Scalars(e, 1)
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		x     float32
		guard float64
		ok    bool
	}{{2, 1, true}, {nan, 1, false}, {inf, 1, false}, {2, math.NaN(), false}, {2, math.Inf(-1), false}} {
		e.Upload(x, []float32{0, c.x, 0})
		e.Set(step, []float64{5, 6, 7})
		e.Set(guard, []float64{c.guard})
		e.Clip(step, x, guard, 10)
		got := make([]float64, 3)
		e.Get(got, step)
		refused := !slices.ContainsFunc(got, func(v float64) bool { return v == v })
		if c.ok && !slices.Equal(got, []float64{1, 6, 7}) || !c.ok && !refused {
			t.Errorf("a gradient with %g and a guard of %g leave %v", c.x, c.guard, got)
		}
	}
	if err := e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// identity: engines opened alike, but for threads, are of one class.
func identity(t *testing.T, open Opener) {
	a, b := open(t, 1), open(t, 2)
	defer a.Close()
	defer b.Close()
	if a.Class() != b.Class() || a.Class() == 0 {
		t.Errorf("classes %#x and %#x, want the same for any number of threads", a.Class(), b.Class())
	}
	if a.Name() == "" {
		t.Error("no name")
	}
}
