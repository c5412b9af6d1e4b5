package cuda_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda"
	"github.com/skein-train/skein/trainer/engine/cuda/cublaslt"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
)

// BenchmarkKernels times what a step of a 124M model spends its time in, 8 sequences of 1,024 tokens. What is counted is the
// arithmetic or the traffic that the result needs: the causal half of attention, so that its way back, which makes two products twice, cannot
// come near the rest. Products are timed by our own kernels and, where it is found, by cuBLASLt, one after the other.
func BenchmarkKernels(b *testing.B) {
	if os.Getenv(cudatest.Real) == "" {
		b.Skip("times on the emulated GPU mean nothing; set " + cudatest.Real)
	}
	own, products := benched(b, "builtin"), []*bench{benched(b, "builtin"), benched(b, cudatest.Products(b))}
	if products[1] == nil {
		products = products[:1]
	}
	b.Run("products", func(b *testing.B) { timeProducts(b, products) })
	b.Run("attention", func(b *testing.B) { timeAttention(b, own) })
	b.Run("rows", func(b *testing.B) { timeRows(b, own) })
	for _, e := range append(products, own) {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	}
}

const batch, seqLen, width, inner, vocab = 8, 1024, 768, 2048, 50257
const tokens = batch * seqLen

// bench is an engine to time.
type bench struct {
	*cuda.Engine
	library string // whose products it has
}

// benched opens an engine; nil if it lacks that library.
func benched(b *testing.B, library string) *bench {
	e, err := cuda.Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: cudatest.Driver(b), Library: library})
	if errors.Is(err, cublaslt.ErrMissing) {
		b.Log(err)
		return nil
	}
	if err != nil {
		b.Fatal(err)
	}
	if library != "builtin" {
		library = "cuBLASLt"
	}
	return &bench{e, library}
}

// full is n numbers in F32: zeros would be multiplied faster than numbers are.
func (e *bench) full(n int) engine.Buf {
	x := e.Alloc(n)
	e.Upload(x, normal(rand.New(rand.NewPCG(uint64(n), 1)), n))
	return x
}

// half is n numbers in BF16.
func (e *bench) half(n int) engine.Buf {
	y := e.Alloc(engine.BF16.Words(n)).At(0, n, engine.BF16)
	e.Copy(y, e.full(n))
	return y
}

func (e *bench) weight(out, in int) *engine.Weight {
	w := &engine.Weight{Master: e.full(out * in), Out: out, In: in}
	e.Refresh(w, 2)
	return w
}

// ids are n of a vocabulary, all over it.
func (e *bench) ids(n int) engine.Buf {
	b, ids := e.Alloc(n), make([]int32, n)
	for i := range ids {
		ids[i] = int32(i * 7919 % vocab)
	}
	e.UploadInt32(b, ids)
	return b
}

// arithmetic times calls that are so many floating-point operations each, traffic those that move so many bytes.
func (e *bench) arithmetic(b *testing.B, name string, flops int, call func()) {
	e.clock(b, name, float64(flops)/1e12, "TFLOP/s", call)
}
func (e *bench) traffic(b *testing.B, name string, bytes int, call func()) {
	e.clock(b, name, float64(bytes)/1e9, "GB/s", call)
}

func (e *bench) clock(b *testing.B, name string, work float64, unit string, call func()) {
	b.Run(name, func(b *testing.B) {
		call()
		e.Wait()
		b.ResetTimer()
		for range b.N {
			call()
		}
		e.Wait()
		b.ReportMetric(work*float64(b.N)/b.Elapsed().Seconds(), unit)
		if err := e.Err(); err != nil {
			b.Fatal(err)
		}
	})
}

func timeProducts(b *testing.B, engines []*bench) {
	for _, s := range []struct {
		name    string
		out, in int
	}{{"qkv", 3 * width, width}, {"projection", width, width}, {"gate-up", 2 * inner, width}, {"down", width, inner}} {
		for _, e := range engines {
			w, x, y, dw, c := e.weight(s.out, s.in), e.half(tokens*s.in), e.half(tokens*s.out), e.Alloc(s.out*s.in), e.Alloc(s.out*s.out)
			flops := 2 * tokens * s.out * s.in
			e.arithmetic(b, s.name+"-forward/"+e.library, flops, func() { e.Linear(y, x, w, tokens) })
			e.arithmetic(b, s.name+"-back/"+e.library, flops, func() { e.LinearBack(x, y, w, tokens) })
			e.arithmetic(b, s.name+"-gradient/"+e.library, flops, func() { e.LinearGrad(dw, y, x, tokens, s.out, s.in, true) })
			e.arithmetic(b, s.name+"-gram/"+e.library, 2*s.out*s.out*s.in, func() { e.MatMul(c, w.Master, w.Master, false, true, s.out, s.out, s.in, false) })
		}
	}
	for _, e := range engines {
		head, x, dx, dw, targets, loss := e.weight(vocab, width), e.half(tokens*width), e.half(tokens*width), e.Alloc(vocab*width), e.ids(tokens), engine.Scalars(e, 1)
		e.arithmetic(b, "head/"+e.library, 6*tokens*vocab*width, func() {
			e.Head(loss, dx, dw, x, head, targets, tokens, engine.Loss{Scale: 1, Accumulate: true})
		})
	}
}

func timeAttention(b *testing.B, e *bench) {
	for _, headDim := range []int{64, 128} {
		a := engine.Attention{Batch: batch, Time: seqLen, Heads: width / headDim, KVHeads: width / headDim, HeadDim: headDim, RopeBase: 10000}
		qkv, dqkv, y, dy, lse := e.half(3*tokens*width), e.half(3*tokens*width), e.half(tokens*width), e.half(tokens*width), e.Alloc(tokens*a.Heads)
		product := tokens * seqLen * width
		e.arithmetic(b, fmt.Sprintf("heads-of-%d", headDim), 2*product, func() { e.Attend(y, lse, qkv, a) })
		e.arithmetic(b, fmt.Sprintf("heads-of-%d-gradient", headDim), 5*product, func() { e.AttendGrad(dqkv, dy, y, lse, qkv, a) })
	}
}

// timeRows times what memory bounds. The residual stream is F32, what flows into products and out of them BF16.
func timeRows(b *testing.B, e *bench) {
	const cells, gates, params = tokens * width, tokens * inner, 124 << 20
	x, dx, rstd, w := e.full(cells), e.full(cells), e.Alloc(tokens), e.full(width)
	y, h, gu, dgu := e.half(cells), e.half(gates), e.half(2*gates), e.half(2*gates)
	ids, table := e.ids(tokens), e.full(vocab*width)
	e.traffic(b, "rmsnorm", (4+2)*cells, func() { e.RMSNorm(y, rstd, x, w, tokens, width, 1e-5) })
	e.traffic(b, "rmsnorm-gradient", (2+4+4+4)*cells, func() { e.RMSNormGrad(dx, w, y, x, w, rstd, dx, tokens, width) })
	e.traffic(b, "residual", (4+2+4)*cells, func() { e.Add(x, x, y) })
	e.traffic(b, "swiglu", (2*2+2)*gates, func() { e.SwiGLU(h, gu, tokens, inner) })
	e.traffic(b, "swiglu-gradient", (2*2+2+2*2)*gates, func() { e.SwiGLUGrad(dgu, h, gu, tokens, inner) })
	e.traffic(b, "embed", (4+4)*cells, func() { e.Embed(x, table, ids, tokens, width) })
	e.traffic(b, "embed-gradient", (4+4+4)*cells, func() { e.EmbedGrad(table, dx, ids, tokens, width) })
	p, g, m, v, step := e.full(params), e.full(params), e.Alloc(params), e.Alloc(params), engine.Scalars(e, engine.StepScalars)
	e.traffic(b, "clip", 4*params, func() { e.Clip(step, g, engine.Buf{}, 1) })
	e.Set(step, []float64{1, 1e-3, 0.5, 0.5})
	e.traffic(b, "adamw", (4+4*2+4*2+4*2)*params, func() {
		e.AdamW(p, g, m, v, [][2]int{{0, params}}, engine.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Step: step})
	})
}
