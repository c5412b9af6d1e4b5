package cuda_test

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
	"github.com/skein-train/skein/trainer/engine/enginetest"
)

func open(t *testing.T, _ int) engine.Engine {
	e, err := cuda.Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: cudatest.Driver(t)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestElementwise(t *testing.T) {
	enginetest.RunOnly(t, open, enginetest.EpsBF16, "add/", "add in place/", "mix/", "mix in place/", "convert/", "copy and zero/")
}
