package trainer

import (
	"context"
	"math"
	"os"
	"testing"

	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
	"github.com/skein-train/skein/trainer/engine/cuda"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
)

// A model with every feature trains on the GPU, emulated if need be, along the loss curve of the CPU: both round to bfloat16
// what flows into products, and add up in another order.
func TestTrainsOnTheGPUAsOnTheCPU(t *testing.T) {
	n, data, o := 50, tinyData, normed()                                                // n steps
	o.Model.HiddenSize, o.Model.IntermediateSize, o.Model.NumAttentionHeads = 32, 40, 2 // heads of 16: products read activations where they lie
	o.Inner.LR = 2e-3
	if os.Getenv(cudatest.Real) != "" { // which is faster: several tiles and several blocks of everything
		n, data = 200, fake{vocab: 300, seqLen: 160, validations: 5}
		o.Model = Model{VocabSize: 300, HiddenSize: 256, IntermediateSize: 704, NumHiddenLayers: 4, NumAttentionHeads: 4, NumKeyValueHeads: 2, QKNorm: true}
		o.BatchSize, o.MicroBatchSize, o.Steps = 16, 8, 200
	}
	launches := 0 // of the first step
	curve := func(kind string) (losses []float64, e engine.Engine, r *Replica) {
		e, err := auto.Open(engine.Options{Kind: kind, Precision: "bf16", Driver: cudatest.Driver(t)})
		if err != nil {
			t.Fatal(err)
		}
		o.Engine = e
		if r, err = New(o, data); err != nil {
			t.Fatal(err)
		}
		begin(t, r, shards.Seat{Count: 1 << 20})
		for range n {
			loss, err := r.Step(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			losses = append(losses, loss)
			if e, ok := e.(*cuda.Engine); ok && len(losses) == 1 {
				launches = e.Stats().Launches
			}
		}
		return losses, e, r
	}
	want, cpu, _ := curve("cpu")
	got, gpu, r := curve("cuda")
	for i := range got {
		if math.Abs(got[i]-want[i]) > 2e-2*want[i]+1e-3 {
			t.Errorf("the loss of step %d is %.4f, on the CPU %.4f", i, got[i], want[i])
		}
	}
	t.Logf("%s: loss %.4f to %.4f, on the CPU %.4f", gpu.Name(), got[0], got[n-1], want[n-1])
	passes := o.BatchSize/o.MicroBatchSize + 2 // of a step: refreshed weights, micro-batches, the update; the first step makes them call by call
	s := gpu.(*cuda.Engine).Stats()
	if s.Fallbacks != 0 || s.Replays != (n-1)*passes || s.Launches != launches {
		t.Errorf("%+v, want no fall-backs, %d replays, and no launches after the first step's %d", s, (n-1)*passes, launches)
	}
	if took := gpu.(*cuda.Engine).Replayed(); took <= 0 {
		t.Errorf("replays took %v", took)
	}

	// What goes in and out between rounds.
	vecs, counters := r.Save()
	saved := append([]float32(nil), vecs[0]...)
	steps(t, r, 1)
	if err := r.Load(vecs, counters); err != nil {
		t.Fatal(err)
	}
	now, delta := make([]float32, r.Len()), make([]float32, r.Len())
	r.Read(now, whole(r))
	r.Delta(delta, saved, whole(r))
	for i := range now {
		if now[i] != saved[i] || delta[i] != 0 {
			t.Fatalf("parameter %d is %g after Load, was %g", i, now[i], saved[i])
		}
	}
	if err := r.Begin(shards.Seat{Count: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if loss, err := r.Evaluate(context.Background(), saved, 0, 3); err != nil || !(loss < want[0]) {
		t.Errorf("validation loss %g, %v", loss, err)
	}
	if err := gpu.Close(); err != nil {
		t.Error(err)
	}
	if err := cpu.Close(); err != nil {
		t.Error(err)
	}
}
