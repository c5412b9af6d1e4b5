package trainer

import (
	"testing"

	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda"
	"github.com/skein-train/skein/trainer/engine/cuda/cublaslt"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
)

// Training takes of a GPU what Measure foretold at most, and little less, whatever the optimizer, the sizes and the products.
func TestMeasureIsEnoughOnAGPU(t *testing.T) {
	const block = 2 << 20 // bytes that an engine takes at a time
	for name, c := range map[string]struct {
		optimizer, library string
		hidden, between    int
	}{
		"adamw":              {"adamw", "builtin", 32, 40},
		"muon":               {"muon", "builtin", 64, 96}, // products on tensor cores
		"muon, cuBLASLt":     {"muon", cudatest.Products(t), 64, 96},
		"sizes that are odd": {"adamw", "builtin", 20, 33},
	} {
		t.Run(name, func(t *testing.T) {
			data, o := tinyData, normed()
			o.Inner.Optimizer = c.optimizer
			o.Model.HiddenSize, o.Model.IntermediateSize, o.Model.NumAttentionHeads = c.hidden, c.between, 2
			e, err := cuda.Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: cudatest.Emulated(t), Library: c.library})
			if err != nil {
				t.Fatal(err)
			}
			o.Engine = e
			said, err := Measure(o, data)
			if err != nil {
				t.Fatal(err)
			}
			before, _ := e.Memory()
			r, err := New(o, data)
			if err != nil {
				t.Fatal(err)
			}
			begin(t, r, shards.Seat{Count: 1 << 20})
			steps(t, r, 1)
			if _, err := r.Evaluate(t.Context(), make([]float32, r.Len()), 0, o.MicroBatchSize); err != nil {
				t.Fatal(err)
			}
			after, _ := e.Memory()
			held := before - after
			if c.library != "builtin" {
				held += cublaslt.Workspace // which the engine took when it opened
			}
			if total := said.Total(); held > total || held < total-2*block {
				t.Errorf("%+v: %d bytes in all, and %d were taken", said, total, held)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
