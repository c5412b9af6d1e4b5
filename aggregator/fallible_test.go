package aggregator_test

import (
	"context"
	"errors"
	"math"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// losable is a replica whose device is lost while the delta of a round is read.
type losable struct {
	scripted
	lost error
}

func (r *losable) Err() error { return r.lost }
func (r *losable) Delta(dst, _ gradients.Vec, _ gradients.Fragment) {
	r.lost = errors.New("the device is lost")
	for i := range dst {
		dst[i] = float32(math.NaN())
	}
}

// The worker ends with what happened, not with what followed from it, and offers nothing.
func TestLostDeviceEndsTheWorker(t *testing.T) {
	w := newWorld(t, 1, DiLoCo(f32, 1, 0, 0, 0), Schedule{Every: 2, Fragments: 1, Steps: 4})
	o := w.options(0, func(uint64) float32 { return 1 })
	r := &losable{scripted: *o.Replica.(*scripted)}
	o.Replica = r
	o.Landed = func(context.Context, Landing) error { t.Error("a round landed"); return nil }
	worker, err := NewWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Run(t.Context()); !errors.Is(err, r.lost) || errors.Is(err, ErrUnstable) {
		t.Errorf("got %v", err)
	}
}
