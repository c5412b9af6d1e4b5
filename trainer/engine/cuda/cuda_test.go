package cuda_test

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
	"github.com/skein-train/skein/trainer/engine/enginetest"
)

// open opens an engine whose products are our own, whatever a real GPU's machine has.
func open(t *testing.T, _ int) engine.Engine {
	e, err := cuda.Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: cudatest.Driver(t), Library: "builtin"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestFlat(t *testing.T) {
	conform(t, "add/", "add in place/", "mix/", "mix in place/", "mix by ", "convert/", "copy and zero/", "normalise/", "clip/", "adamw/")
}
func TestMemory(t *testing.T)    { enginetest.RunMemory(t, open) }
func TestEmbedding(t *testing.T) { conform(t, "embed/", "embed gradient/") }
func TestNorms(t *testing.T)     { conform(t, "rmsnorm", "head norm") }
func TestGates(t *testing.T)     { conform(t, "swiglu") }

func conform(t *testing.T, kernels ...string) {
	t.Parallel()
	enginetest.RunOnly(t, open, enginetest.EpsBF16, kernels...)
}
