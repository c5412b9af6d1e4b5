package trainer

import (
	"runtime/metrics"
	"testing"

	"github.com/skein-train/skein/internal/racetest"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
)

// A steady step leaves to the garbage collector what Gorgonia's machine and calls of libraries cost: nothing above 1 KiB, and
// on one thread as much for a large model as for a small one of the same number of layers.
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
			var bytes, large uint64
			for range 3 { // what a step allocates shows every time, a thread that Go happens to start shows once
				if bytes, large = garbage(func() { steps(t, r, 8) }, 1<<10); large == 0 {
					break
				}
			}
			if large > 0 {
				t.Errorf("width %d, %d threads: %d allocations above 1 KiB in 8 steps", width, threads, large)
			}
			perStep = append(perStep, bytes/8)
		}
		t.Logf("%d threads: at most %d bytes a step at width 96, %d at width 384", threads, perStep[0], perStep[1])
		if threads == 1 && !racetest.Enabled && perStep[1] > perStep[0]+perStep[0]/4+1<<10 {
			t.Errorf("%d threads: %d bytes a step at width 96, %d at width 384", threads, perStep[0], perStep[1])
		}
		_ = e.Close()
	}
}

// garbage is what a call allocates in blocks of at most limit bytes, rounded up, and how many are larger.
func garbage(call func(), limit float64) (bytes, large uint64) {
	before := allocations()
	call()
	after := allocations()
	for i, n := range after.Counts {
		n -= before.Counts[i]
		if after.Buckets[i] >= limit {
			large += n
		} else if n > 0 {
			bytes += n * uint64(after.Buckets[i+1])
		}
	}
	return bytes, large
}

// allocations counts the heap's allocations so far by size in bytes.
func allocations() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/gc/heap/allocs-by-size:bytes"}}
	metrics.Read(s)
	h := s[0].Value.Float64Histogram()
	return &metrics.Float64Histogram{Counts: append([]uint64(nil), h.Counts...), Buckets: h.Buckets}
}
