package trainer

import (
	"context"
	"math"
	"os"
	"testing"
	"time"

	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
)

// BenchmarkStep times inner steps on one thread. "peer" is the model that scripts/peer-torch compares with PyTorch (6.3 M
// parameters), "tiny" that of configs/tiny.yaml (.87 M). best-tok/s is the fastest step's rate by the clock, cpu-tok/s the
// best rate by processor time: other load on the machine slows a mean, hardly these.
// The environment variable SKEIN_BENCH_LIBRARY chooses the engine's matrix library, see engine.Options.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		name  string
		model Model
		data  fake
		batch int
	}{
		{"peer", Model{VocabSize: 4096, HiddenSize: 256, IntermediateSize: 1024, NumHiddenLayers: 4, NumAttentionHeads: 4, NumKeyValueHeads: 4}, fake{4096, 256, 1}, 8},
		{"tiny", Model{VocabSize: 256, HiddenSize: 128, IntermediateSize: 352, NumHiddenLayers: 4, NumAttentionHeads: 4, NumKeyValueHeads: 4}, fake{256, 128, 1}, 16},
	} {
		b.Run(c.name, func(b *testing.B) {
			e, err := auto.Open(engine.Options{Kind: "cpu", Library: os.Getenv("SKEIN_BENCH_LIBRARY"), Threads: 1})
			if err != nil {
				b.Skip(err)
			}
			defer e.Close()
			b.Log(e.Name())
			r, err := New(Options{Model: c.model, Fragments: 1, Inner: DefaultInner(), BatchSize: c.batch, MicroBatchSize: c.batch, Steps: 1 << 20, Engine: e}, c.data)
			if err != nil {
				b.Fatal(err)
			}
			if err := r.Begin(shards.Seat{Count: 1 << 30}); err != nil {
				b.Fatal(err)
			}
			best, bestCPU := math.Inf(1), math.Inf(1)
			for b.Loop() {
				start, cpu := time.Now(), cpuSeconds()
				if _, err := r.Step(context.Background()); err != nil {
					b.Fatal(err)
				}
				best, bestCPU = min(best, time.Since(start).Seconds()), min(bestCPU, cpuSeconds()-cpu)
			}
			tokens := float64(c.batch * c.data.seqLen)
			b.ReportMetric(tokens/best, "best-tok/s")
			b.ReportMetric(tokens/bestCPU, "cpu-tok/s")
			b.ReportMetric(tokens*float64(b.N)/b.Elapsed().Seconds(), "mean-tok/s")
		})
	}
}
