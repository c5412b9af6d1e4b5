package trainer

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/reference"
)

var errLost = errors.New("the device is lost")

// losable is a device that can be lost.
type losable struct {
	device
	lost bool
}

func (d *losable) Err() error {
	if d.lost {
		return errLost
	}
	return nil
}

func (d *losable) Download(dst []float32, src engine.Buf) {
	d.device.Download(dst, src)
	for i := range dst {
		if d.lost {
			dst[i] = float32(math.NaN())
		}
	}
}

func TestLostDeviceIsToldAsSuch(t *testing.T) {
	o := tiny()
	d := &losable{device: device{host: reference.New()}}
	o.Engine = d
	r := newReplica(t, o)
	steps(t, r, 1)
	at := r.step
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	d.lost = true
	if _, err := r.Step(context.Background()); !errors.Is(err, errLost) || r.step != at {
		t.Errorf("step: %v, at step %d", err, r.step)
	}
	params := make([]float32, r.Len())
	if _, err := r.Evaluate(context.Background(), params, 0, 2); !errors.Is(err, errLost) {
		t.Errorf("evaluate: %v", err)
	}
	err := r.Generate(context.Background(), params, []int32{1}, 3, 0, 0, 1, func(int32) error { return errors.New("emitted") })
	if !errors.Is(err, errLost) {
		t.Errorf("generate: %v", err)
	}
	if _, err := New(o, tinyData); !errors.Is(err, errLost) {
		t.Errorf("new: %v", err)
	}
}
