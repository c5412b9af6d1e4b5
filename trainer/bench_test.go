package trainer

import (
	"cmp"
	"context"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/skein-train/skein/internal/usage"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
)

// BenchmarkStep times inner steps of the models that scripts/peer-torch compares with PyTorch: "tiny" is that of
// configs/tiny.yaml (.87 M parameters), "peer" has 6.3 M and "large" 42 M. best-tok/s is the fastest step's rate by the
// clock, cpu-tok/s the best rate by processor time: other load on the machine slows a mean, hardly these.
//
// Environment variables choose the engine, see engine.Options: SKEIN_BENCH_LIBRARY (the best found), SKEIN_BENCH_PRECISION
// (fp32) and SKEIN_BENCH_THREADS (1). What the engine lacks is skipped. GODEBUG=cpu.avx512f=off leaves AVX2.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		name  string
		model Model
		data  fake
		batch int
	}{
		{"tiny", Model{VocabSize: 256, HiddenSize: 128, IntermediateSize: 352, NumHiddenLayers: 4, NumAttentionHeads: 4, NumKeyValueHeads: 4}, fake{256, 128, 1}, 16},
		{"peer", Model{VocabSize: 4096, HiddenSize: 256, IntermediateSize: 1024, NumHiddenLayers: 4, NumAttentionHeads: 4, NumKeyValueHeads: 4}, fake{4096, 256, 1}, 8},
		{"large", Model{VocabSize: 8192, HiddenSize: 512, IntermediateSize: 2048, NumHiddenLayers: 8, NumAttentionHeads: 8, NumKeyValueHeads: 8}, fake{8192, 512, 1}, 4},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := benchEngine(b)
			defer e.Close()
			r, err := New(Options{Model: c.model, Fragments: 1, Inner: DefaultInner(), BatchSize: c.batch, MicroBatchSize: c.batch, Steps: 1 << 20, Engine: e}, c.data)
			if err != nil {
				b.Fatal(err)
			}
			if err := r.Begin(shards.Seat{Count: 1 << 30}); err != nil {
				b.Fatal(err)
			}
			best, bestCPU := math.Inf(1), math.Inf(1)
			for b.Loop() {
				start, cpu := time.Now(), usage.CPU()
				if _, err := r.Step(context.Background()); err != nil {
					b.Fatal(err)
				}
				best, bestCPU = min(best, time.Since(start).Seconds()), min(bestCPU, (usage.CPU()-cpu).Seconds())
			}
			tokens := float64(c.batch * c.data.seqLen)
			b.ReportMetric(tokens/best, "best-tok/s")
			b.ReportMetric(tokens/bestCPU, "cpu-tok/s")
			b.ReportMetric(tokens*float64(b.N)/b.Elapsed().Seconds(), "mean-tok/s")
		})
	}
}

func benchEngine(b *testing.B) engine.Engine {
	threads, err := strconv.Atoi(cmp.Or(os.Getenv("SKEIN_BENCH_THREADS"), "1"))
	if err != nil {
		b.Fatalf("SKEIN_BENCH_THREADS: %v", err)
	}
	e, err := auto.Open(engine.Options{Kind: "cpu", Library: os.Getenv("SKEIN_BENCH_LIBRARY"), Precision: os.Getenv("SKEIN_BENCH_PRECISION"), Threads: threads})
	if err != nil {
		b.Skip(err)
	}
	b.Log(e.Name())
	return e
}
