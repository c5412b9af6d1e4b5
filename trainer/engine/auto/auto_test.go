package auto_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
)

func TestOpen(t *testing.T) {
	for kind, name := range map[string]string{"": "cpu: ", "auto": "cpu: ", "cpu": "cpu: ", "reference": "reference: "} {
		e, err := auto.Open(engine.Options{Kind: kind, Threads: 2})
		if err != nil {
			t.Fatalf("kind %q: %v", kind, err)
		}
		if !strings.HasPrefix(e.Name(), name) {
			t.Errorf("kind %q opened %q, want %q…", kind, e.Name(), name)
		}
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// A GPU is taken if it is there, new enough and the run is in its precision; what is in the way is told.
func TestAutoTakesTheGPU(t *testing.T) {
	file := cudatest.Emulated(t)
	for name, c := range map[string]struct {
		variable, value, precision string
		want, says                 string
	}{
		"a GPU":         {precision: "bf16", want: "cuda: GPU 0 Emulated GPU 0 (sm_80) bf16"},
		"fp32":          {precision: "fp32", want: "cpu: ", says: "a GPU is there, which computes in bf16 only"},
		"an old GPU":    {"FAKE_CUDA_CAPABILITY", "75", "bf16", "cpu: ", "the GPU cannot be used"},
		"an old driver": {"FAKE_CUDA_VERSION", "11020", "bf16", "cpu: ", "the GPU cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.variable != "" {
				cudatest.Setenv(t, c.variable, c.value)
			}
			e, err := auto.Open(engine.Options{Kind: "auto", Precision: c.precision, Driver: file})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(e.Name(), c.want) || !strings.Contains(e.Name(), c.says) {
				t.Errorf("opened %q, want %q… with %q", e.Name(), c.want, c.says)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// GPUs are dealt out in turn, those that the engine cannot run on left out.
func TestShares(t *testing.T) {
	file := cudatest.Emulated(t)
	cudatest.Setenv(t, "FAKE_CUDA_DEVICES", "2")
	for kind, want := range map[string][]auto.Share{"auto": {{First: 0, Workers: 2}, {First: 1, Workers: 1}}, "cuda:1": {{First: 0, Workers: 3}}, "cuda:2": nil} {
		if got := auto.Shares(engine.Options{Kind: kind, Precision: "bf16", Driver: file}, 3); !slices.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v", kind, got, want)
		}
	}
}

// A driver that was named and does not load is told of; that there is none is nothing to tell.
func TestAutoTellsOfADriverThatDoesNotLoad(t *testing.T) {
	e, err := auto.Open(engine.Options{Kind: "auto", Precision: "bf16", Driver: filepath.Join(t.TempDir(), "libcuda.so.1")})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if !strings.HasPrefix(e.Name(), "cpu: ") || !strings.Contains(e.Name(), "the GPU cannot be used") {
		t.Errorf("opened %q without a word about the driver", e.Name())
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, o := range []engine.Options{
		{Kind: "cuda", Precision: "bf16", Driver: "/nonexistent/libcuda.so"},
		{Kind: "cuda:x", Precision: "bf16"},
		{Kind: "gpu"},
		{Kind: "cpu", Library: "nonesuch"},
		{Kind: "cpu", Precision: "fp8"},
		{Kind: "cpu", Threads: -1},
		{Kind: "reference", Precision: "bf16"},
	} {
		if e, err := auto.Open(o); err == nil {
			t.Errorf("%+v opened %q, want an error", o, e.Name())
		}
	}
}
