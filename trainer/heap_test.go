package trainer

import (
	"runtime/metrics"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
)

// A steady step leaves to the garbage collector what Gorgonia's machine and calls of libraries cost: nothing above 1 KiB, and
// as much for a large model as for a small one of the same number of layers.
func TestSteadyStepAllocatesNoBuffers(t *testing.T) {
	for _, threads := range []int{1, 2} {
		e, err := auto.Open(engine.Options{Kind: "cpu", Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		var perStep []uint64
		for _, width := range []int{96, 384} {
			o := tiny()
			o.Model.HiddenSize, o.Model.IntermediateSize, o.BatchSize, o.MicroBatchSize, o.Engine = width, 2*width, 64, 32, e
			r := newReplica(t, o)
			steps(t, r, 3)
			before := allocations()
			steps(t, r, 8)
			after := allocations()
			var bytes uint64
			for i, n := range after.Counts {
				n -= before.Counts[i]
				if low := after.Buckets[i]; n > 0 && low >= 1<<10 {
					t.Errorf("width %d, %d threads: %d allocations of %v to %v bytes in 8 steps", width, threads, n, low, after.Buckets[i+1])
				} else {
					bytes += n * uint64(after.Buckets[i+1])
				}
			}
			perStep = append(perStep, bytes/8)
		}
		t.Logf("%d threads: at most %d bytes a step at width 96, %d at width 384", threads, perStep[0], perStep[1])
		if !raced && perStep[1] > perStep[0]+perStep[0]/4+1<<10 {
			t.Errorf("%d threads: %d bytes a step at width 96, %d at width 384", threads, perStep[0], perStep[1])
		}
		_ = e.Close()
	}
}

// allocations counts the heap's allocations so far by size in bytes.
func allocations() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/gc/heap/allocs-by-size:bytes"}}
	metrics.Read(s)
	h := s[0].Value.Float64Histogram()
	return &metrics.Float64Histogram{Counts: append([]uint64(nil), h.Counts...), Buckets: h.Buckets}
}
