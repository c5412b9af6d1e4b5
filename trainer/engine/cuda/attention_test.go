package cuda_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/enginetest"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// epsAttention allows for scores of rounded queries and keys, which exp makes larger: single elements of a peaked softmax
// are off by more than a product's. TestAttentionWithinOnePercent holds the whole results to 1 %.
const epsAttention = 4e-2

func TestAttention(t *testing.T) {
	enginetest.RunOnly(t, open, epsAttention, "attend/", "attend gradient/")
}

// TestAttentionWithinOnePercent takes every width of kernels, one tile and several, ends of tiles of queries and keys, and
// query heads that share keys.
func TestAttentionWithinOnePercent(t *testing.T) {
	device, host := open(t, 1), reference.New()
	for _, a := range []engine.Attention{
		{Batch: 1, Time: 1, Heads: 2, KVHeads: 1, HeadDim: 16},
		{Batch: 2, Time: 65, Heads: 4, KVHeads: 2, HeadDim: 32},
		{Batch: 1, Time: 128, Heads: 1, KVHeads: 1, HeadDim: 48},
		{Batch: 1, Time: 150, Heads: 3, KVHeads: 1, HeadDim: 64},
		{Batch: 1, Time: 40, Heads: 1, KVHeads: 1, HeadDim: 80},
		{Batch: 2, Time: 70, Heads: 2, KVHeads: 1, HeadDim: 128},
	} {
		a.RopeBase = 10000
		r := rand.New(rand.NewPCG(uint64(a.Time), uint64(a.HeadDim)))
		n, width, outWidth := a.Batch*a.Time, (a.Heads+2*a.KVHeads)*a.HeadDim, a.Heads*a.HeadDim
		qkv, dy := normal(r, n*width), normal(r, n*outWidth)
		for _, kind := range []engine.Type{engine.F32, engine.BF16} {
			want, got := attention(host, a, kind, qkv, dy), attention(device, a, kind, qkv, dy)
			for i, name := range []string{"y", "lse", "dq", "dk", "dv"} {
				if e := enginetest.Relative(got[i], want[i]); !(e < enginetest.MaxError) {
					t.Errorf("%v %v: %s is off by %.2g of its length", a, kind, name, e)
				}
			}
		}
	}
	if err := device.Close(); err != nil {
		t.Error(err)
	}
}

// attention returns y, lse and the gradient, apart.
func attention(e engine.Engine, a engine.Attention, kind engine.Type, qkv, dy []float32) [5][]float32 {
	n, d := a.Batch*a.Time, a.HeadDim
	host := func(x []float32) engine.Buf {
		b := e.Alloc(len(x))
		e.Upload(b, x)
		return b
	}
	room := func(n int) engine.Buf { return e.Alloc(kind.Words(n)).At(0, n, kind) }
	as := func(x []float32) engine.Buf {
		b := room(len(x))
		e.Copy(b, host(x))
		return b
	}
	down := func(b engine.Buf) []float32 {
		wide, x := e.Alloc(b.Len), make([]float32, b.Len)
		e.Copy(wide, b)
		e.Download(x, wide)
		return x
	}
	x, g, y, lse, dx := as(qkv), as(dy), room(len(dy)), e.Alloc(a.Heads*n), room(len(qkv))
	e.Attend(y, lse, x, a)
	e.AttendGrad(dx, g, y, lse, x, a)
	all, out := down(dx), [5][]float32{down(y), down(lse)}
	width := (a.Heads + 2*a.KVHeads) * d
	for row := range n {
		from := row * width
		for i, heads := range []int{a.Heads, a.KVHeads, a.KVHeads} {
			out[2+i] = append(out[2+i], all[from:from+heads*d]...)
			from += heads * d
		}
	}
	return out
}

func TestAttentionRefusesWideHeads(t *testing.T) {
	for _, d := range []int{129, 130, 256} {
		e := open(t, 1)
		a := engine.Attention{Batch: 1, Time: 2, Heads: 1, KVHeads: 1, HeadDim: d, RopeBase: 10000}
		e.Attend(e.Alloc(2*d), e.Alloc(2), e.Alloc(6*d), a)
		if err := engine.Err(e); err == nil || !strings.Contains(err.Error(), "up to 128") {
			t.Errorf("heads of %d: %v", d, err)
		}
		e.Close()
	}
}

func normal(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}
