package trainer

import (
	"errors"
	"math"
	"testing"

	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda"
	"github.com/skein-train/skein/trainer/engine/cuda/cublaslt"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
)

// With cuBLASLt's products, recorded and replayed, training takes the way that it takes with our own.
func TestTrainsWithCuBLASLt(t *testing.T) {
	const n = 8 // steps
	o := normed()
	o.Model.HiddenSize, o.Model.IntermediateSize, o.Model.NumAttentionHeads = 32, 40, 2 // products read activations where they lie
	curve := func(library string) (losses []float64, s cuda.Stats) {
		e, err := cuda.Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: cudatest.Driver(t), Library: library})
		if errors.Is(err, cublaslt.ErrMissing) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		o.Engine = e
		r, err := New(o, tinyData)
		if err != nil {
			t.Fatal(err)
		}
		begin(t, r, shards.Seat{Count: 1 << 20})
		for range n {
			losses = append(losses, steps(t, r, 1))
		}
		s = e.Stats()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		return losses, s
	}
	want, _ := curve("builtin")
	got, stats := curve(cudatest.Products(t))
	for i := range got {
		if math.Abs(got[i]-want[i]) > 2e-2*want[i]+1e-3 {
			t.Errorf("the loss of step %d is %.4f, with our own products %.4f", i, got[i], want[i])
		}
	}
	if stats.Products == 0 || stats.Replays == 0 || stats.Refused != 0 || stats.Fallbacks != 0 {
		t.Errorf("%+v, want products, replays of them, none refused, and nothing copied", stats)
	}
}
