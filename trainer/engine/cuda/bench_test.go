package cuda_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
)

// BenchmarkKernels times what a step of a 124M model spends its time in, 8 sequences of 1,024 tokens. What is counted is the
// arithmetic that the result needs, the causal half of attention, so attention's way back cannot come near the rest.
func BenchmarkKernels(b *testing.B) {
	if os.Getenv(cudatest.Real) == "" {
		b.Skip("times on the emulated GPU mean nothing; set " + cudatest.Real)
	}
	const batch, time, d, f, vocab = 8, 1024, 768, 2048, 50257
	const n = batch * time
	e, err := cuda.Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: cudatest.Driver(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	one := engine.Scalars(e, 1)
	spread := func(n int) []float32 { return normal(rand.New(rand.NewPCG(uint64(n), 1)), n) } // zeros would run faster than numbers do
	half := func(n int) engine.Buf {
		x := e.Alloc(n)
		e.Upload(x, spread(n))
		y := e.Alloc(engine.BF16.Words(n)).At(0, n, engine.BF16)
		e.Copy(y, x)
		return y
	}
	weight := func(out, in int) *engine.Weight {
		w := &engine.Weight{Master: e.Alloc(out * in), Out: out, In: in}
		e.Upload(w.Master, spread(out*in))
		e.Refresh(w, 2)
		return w
	}
	clock := func(name string, flops float64, call func()) {
		b.Run(name, func(b *testing.B) {
			call()
			e.Wait()
			b.ResetTimer()
			for range b.N {
				call()
			}
			e.Wait()
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e12, "TFLOP/s")
		})
	}
	for _, s := range []struct {
		name    string
		out, in int
	}{{"qkv", 3 * d, d}, {"projection", d, d}, {"gate-up", 2 * f, d}, {"down", d, f}} {
		w, x, y, dw, c := weight(s.out, s.in), half(n*s.in), half(n*s.out), e.Alloc(s.out*s.in), e.Alloc(s.out*s.out)
		flops := 2 * float64(n) * float64(s.out) * float64(s.in)
		clock("forward/"+s.name, flops, func() { e.Linear(y, x, w, n) })
		clock("back/"+s.name, flops, func() { e.LinearBack(x, y, w, n) })
		clock("gradient/"+s.name, flops, func() { e.LinearGrad(dw, y, x, n, s.out, s.in, true) })
		clock("matmul/"+s.name, 2*float64(s.out)*float64(s.out)*float64(s.in), func() { e.MatMul(c, w.Master, w.Master, false, true, s.out, s.out, s.in, false) })
	}
	for _, headDim := range []int{64, 128} {
		a := engine.Attention{Batch: batch, Time: time, Heads: d / headDim, KVHeads: d / headDim, HeadDim: headDim, RopeBase: 10000}
		qkv, dqkv, y, dy, lse := half(n*3*d), half(n*3*d), half(n*d), half(n*d), e.Alloc(n*a.Heads)
		flops := 4 * float64(n) * time * d / 2
		name := strconv.Itoa(headDim)
		clock("attend/"+name, flops, func() { e.Attend(y, lse, qkv, a) })
		clock("attend-gradient/"+name, 2.5*flops, func() { e.AttendGrad(dqkv, dy, y, lse, qkv, a) })
	}
	if err := e.Err(); err != nil {
		b.Fatal(err)
	}
	head, x, dx, dw, targets := weight(vocab, d), half(n*d), half(n*d), e.Alloc(vocab*d), e.Alloc(n)
	clock("head", 6*float64(n)*vocab*d, func() {
		e.Head(one, dx, dw, x, head, targets, n, engine.Loss{Scale: 1, Accumulate: true})
	})
}
