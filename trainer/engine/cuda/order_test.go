package cuda_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
	"github.com/skein-train/skein/trainer/engine/enginetest"
)

// TestAnyOrderOfThreads: blocks whose threads run in random order give the right results, so no barrier is missing where that
// order could tell.
func TestAnyOrderOfThreads(t *testing.T) {
	for _, seed := range []string{"1", "7"} {
		cudatest.Setenv(t, "SKEIN_EMULATE_ORDER", seed)
		enginetest.RunOnly(t, open, epsAttention, "linear/[40 64 384", "linear back/[17 33 65", "linear gradient/[20 130 390 bf16", "matmul/[17 33 65",
			"head/[40 103 33 1 ", "attend gradient/[{1 101 3", "rmsnorm gradient/[300", "head norm gradient/[{2 70")
	}
}

// TestAnyOrderOfThreadsInWideHeads: those have room for results where other warps still read.
func TestAnyOrderOfThreadsInWideHeads(t *testing.T) {
	a := engine.Attention{Batch: 1, Time: 70, Heads: 2, KVHeads: 1, HeadDim: 128, RopeBase: 10000}
	r := rand.New(rand.NewPCG(9, 9))
	qkv, dy := normal(r, 70*4*128), normal(r, 70*2*128)
	e := open(t, 1)
	defer e.Close()
	want := attention(e, a, engine.BF16, qkv, dy)
	for _, seed := range []string{"1", "7"} {
		cudatest.Setenv(t, "SKEIN_EMULATE_ORDER", seed)
		for i, got := range attention(e, a, engine.BF16, qkv, dy) {
			if !slices.Equal(got, want[i]) {
				t.Errorf("order %s: result %d differs", seed, i)
			}
		}
	}
}
