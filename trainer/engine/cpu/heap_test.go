package cpu_test

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu"
)

// Once warm, kernels leave nothing above 1 KiB to the garbage collector, and on one thread as much for large sizes as for
// small ones. What calls of a library and goroutines cost is small and grows with their number.
func TestKernelsAllocateNoBuffers(t *testing.T) {
	for _, o := range []engine.Options{
		{Library: "builtin"}, {Library: "builtin", Precision: "bf16"}, {Library: "builtin", Threads: 2}, {}, {Precision: "bf16", Threads: 2}, {Library: "openblas"},
	} {
		t.Run(fmt.Sprintf("%s %s %d", o.Library, o.Precision, o.Threads), func(t *testing.T) {
			small, large := garbage(t, o, 32), garbage(t, o, 160)
			t.Logf("%d and %d bytes", small, large)
			if o.Library == "builtin" && o.Threads == 0 && large > small+small/4+1<<10 {
				t.Errorf("%d bytes at width 32, %d at width 160", small, large)
			}
		})
	}
}

// garbage is the bytes that one call of every kernel over width d allocates.
func garbage(t *testing.T, o engine.Options, d int) (bytes uint64) {
	e, err := cpu.Open(o)
	if err != nil {
		t.Skip(err)
	}
	defer e.Close()
	calls := everyKernel(e, d)
	const warm, attempts, limit = 4, 3, 1 << 10
	for range warm {
		calls()
	}
	var large uint64
	for range attempts { // Go may start a thread meanwhile, which allocates
		if bytes, large = count(calls, limit); large == 0 {
			return bytes
		}
	}
	t.Errorf("width %d: %d allocations above %d bytes", d, large, limit)
	return bytes
}

// count is what a call allocates, and how many allocations are above the limit in a few calls.
func count(call func(), limit float64) (bytes, large uint64) {
	const rounds = 4
	runtime.GC() // pools of library calls are refilled in the coming round, not while it is counted
	call()
	var from, to runtime.MemStats
	allocations()               // reading them allocates, the first time most
	runtime.ReadMemStats(&from) // counts what was not yet counted, too
	before := allocations()
	for range rounds {
		call()
	}
	runtime.ReadMemStats(&to)
	after := allocations()
	for i, n := range after.Counts {
		if after.Buckets[i] >= limit {
			large += n - before.Counts[i]
		}
	}
	return (to.TotalAlloc - from.TotalAlloc) / rounds, large
}

// everyKernel calls each kernel once.
func everyKernel(e engine.Engine, d int) func() {
	const heads, batch, time, vocab = 4, 2, 50, 301
	n, act := batch*time, e.Compute()
	buf := func(n int, t engine.Type) engine.Buf { return e.Alloc(t.Words(n)).At(0, n, t) }
	a := engine.Attention{Batch: batch, Time: time, Heads: heads, KVHeads: heads, HeadDim: d / heads, RopeBase: 10000}
	x, residual, wide, norm, rstd, lse := buf(n*d, act), e.Alloc(n*d), buf(3*n*d, act), e.Alloc(2*d), e.Alloc(n*2*heads), e.Alloc(n*heads)
	w, dw := &engine.Weight{Master: e.Alloc(3 * d * d), Out: 3 * d, In: d}, e.Alloc(3*d*d)
	often := &engine.Weight{Master: w.Master, Out: w.Out, In: w.In}
	head, dhead, ids, loss := &engine.Weight{Master: e.Alloc(vocab * d), Out: vocab, In: d}, e.Alloc(vocab*d), e.Alloc(n), engine.Scalars(e, 1)
	step, scalars := engine.Scalars(e, engine.StepScalars), []float64{1, 1e-3, 0.5, 0.5}
	decay := [][2]int{{0, d}, {2 * d, 3 * d}}
	return func() {
		e.Zero(residual)
		e.Copy(x, residual)
		e.Add(x, x, x)
		e.Mix(residual, engine.Number(1), residual, engine.Number(2), residual)
		e.MatMul(dw, residual, residual, true, false, d, d, n, true)
		e.Refresh(w, 1)
		e.Refresh(often, 2)
		for _, w := range []*engine.Weight{w, often} {
			e.Linear(wide, x, w, n)
			e.LinearBack(x, wide, w, n)
		}
		e.LinearGrad(dw, wide, x, n, 3*d, d, true)
		e.Embed(residual, head.Master, ids, n, d)
		e.EmbedGrad(dhead, residual, ids, n, d)
		e.RMSNorm(x, rstd, residual, norm.Slice(0, d), n, d, 1e-5)
		e.RMSNormGrad(residual, norm.Slice(0, d), x, residual, norm.Slice(0, d), rstd, residual, n, d)
		e.HeadNorm(wide, rstd, wide, norm.Slice(0, 2*a.HeadDim), a, 1e-5)
		e.HeadNormGrad(wide, norm.Slice(0, 2*a.HeadDim), wide, wide, norm.Slice(0, 2*a.HeadDim), rstd, a)
		e.Attend(x, lse, wide, a)
		e.AttendGrad(wide, x, x, lse, wide, a)
		e.SwiGLU(x.Slice(0, n*d/2), x, n, d/2)
		e.SwiGLUGrad(x, x.Slice(0, n*d/2), x, n, d/2)
		e.Head(loss, x, dhead, x, head, ids, n, engine.Loss{Scale: 1})
		e.Normalise(dw, 1)
		e.Set(step, scalars)
		e.Clip(step, dw, loss, 1)
		e.Get(scalars, step)
		e.AdamW(w.Master, dw, dw, dw, decay, engine.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, Step: step})
	}
}

// allocations counts the heap's allocations so far by size in bytes.
func allocations() metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/gc/heap/allocs-by-size:bytes"}}
	metrics.Read(s)
	h := s[0].Value.Float64Histogram()
	return metrics.Float64Histogram{Counts: append([]uint64(nil), h.Counts...), Buckets: h.Buckets}
}
