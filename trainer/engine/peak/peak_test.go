package peak

import (
	"context"
	"errors"
	"testing"
	"unsafe"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu"
)

// A peak is a positive rate of a plausible size, and no product is faster.
func TestMeasure(t *testing.T) {
	e, err := cpu.Open(engine.Options{Library: "builtin", Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p, err := Measure(t.Context(), e, 2, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if p.Threads != 2 || !(p.FLOPS > 1e7 && p.FLOPS < 1e15) || !(p.Bandwidth > 1e7 && p.Bandwidth < 1e14) {
		t.Errorf("%+v", p)
	}
}

func TestMeasureStops(t *testing.T) {
	e, err := cpu.Open(engine.Options{Library: "builtin"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(ctx, e, 1, 1<<20); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted measurement: %v", err)
	}
}

// The kernel's operands are aligned, and its operations are counted.
func TestTile(t *testing.T) {
	for n := range 40 {
		if at := uintptr(unsafe.Pointer(aligned(n + 1))); at%64 != 0 {
			t.Errorf("%d elements at %x", n+1, at)
		}
	}
	if run, work := tile(); work < 2*128 {
		t.Errorf("%g operations", work)
	} else {
		run()
	}
}

func TestCaches(t *testing.T) {
	if c := Caches(); c < least || c > most {
		t.Errorf("%d bytes", c)
	}
}
