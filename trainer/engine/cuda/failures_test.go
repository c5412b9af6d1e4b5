package cuda_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

func TestOpenRefuses(t *testing.T) {
	file := cudatest.Emulated(t)
	for name, c := range map[string]struct {
		variable, value string
		options         engine.Options
		want            error
		says            string
	}{
		"no driver":         {options: engine.Options{Kind: "cuda", Precision: "bf16", Driver: "/nonexistent/libcuda.so"}, want: driver.ErrNoDriver, says: "install"},
		"old driver":        {"FAKE_CUDA_VERSION", "11080", engine.Options{Kind: "cuda", Precision: "bf16", Driver: file}, driver.ErrOldDriver, "11.8"},
		"no GPU":            {"FAKE_CUDA_INIT", "100", engine.Options{Kind: "cuda", Precision: "bf16", Driver: file}, driver.NoDevice, "CUDA_VISIBLE_DEVICES"},
		"old GPU":           {"FAKE_CUDA_CAPABILITY", "75", engine.Options{Kind: "cuda", Precision: "bf16", Driver: file}, cuda.ErrOldDevice, "sm_75, at least sm_80"},
		"a GPU too many":    {options: engine.Options{Kind: "cuda:3", Precision: "bf16", Driver: file}, says: "no GPU 3: the driver sees 1"},
		"no number":         {options: engine.Options{Kind: "cuda:one", Precision: "bf16", Driver: file}, says: "cuda:N"},
		"fp32":              {options: engine.Options{Kind: "cuda", Precision: "fp32", Driver: file}, says: "train.precision=bf16"},
		"kernels that fail": {"FAKE_CUDA_JIT", "ptxas: line 9", engine.Options{Kind: "cuda", Precision: "bf16", Driver: file}, driver.InvalidPTX, "ptxas: line 9"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.variable != "" {
				cudatest.Setenv(t, c.variable, c.value)
			}
			e, err := cuda.Open(c.options)
			if err == nil {
				t.Fatalf("opened %s", e.Name())
			}
			if c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q in it", err, c.says)
			}
		})
	}
}

func TestSecondGPU(t *testing.T) {
	cudatest.Setenv(t, "FAKE_CUDA_DEVICES", "2")
	e, err := cuda.Open(engine.Options{Kind: "cuda:1", Precision: "bf16", Driver: cudatest.Emulated(t)})
	if err != nil {
		t.Fatal(err)
	}
	if want := "cuda: GPU 1 Emulated GPU 1 (sm_80) bf16, own products"; e.Name() != want {
		t.Errorf("opened %q, want %q", e.Name(), want)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// After a failure calls do nothing, Download gives NaN, and Err and Close tell what it was.
func TestOutOfMemory(t *testing.T) {
	file := cudatest.Emulated(t)
	cudatest.Setenv(t, "FAKE_CUDA_MEMORY", "8388608")
	e, err := cuda.Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: file})
	if err != nil {
		t.Fatal(err)
	}
	small := e.Alloc(4)
	big := e.Alloc(1 << 22)
	failsWith(t, e, small, big, driver.OutOfMemory, "train.micro_batch_size")
}

func TestLostDevice(t *testing.T) {
	file := cudatest.Emulated(t)
	cudatest.Setenv(t, "FAKE_CUDA_LOST", "2")
	e, err := cuda.Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: file})
	if err != nil {
		t.Fatal(err)
	}
	a, b := e.Alloc(4), e.Alloc(4)
	for range 3 {
		if e.Add(a, a, b); e.Err() != nil {
			t.Fatalf("%v before anybody waited", e.Err())
		}
	}
	e.Download(make([]float32, 4), a)
	failsWith(t, e, a, b, driver.LaunchFailed, "the GPU stopped")
	if e, err = cuda.Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: file}); err != nil {
		t.Fatalf("a new engine: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func failsWith(t *testing.T, e *cuda.Engine, a, b engine.Buf, want error, says string) {
	t.Helper()
	if err := e.Err(); !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		t.Fatalf("got %v, want %q in it", err, says)
	}
	e.Add(a, a, a)
	e.Zero(b)
	e.Upload(a, make([]float32, 4))
	got := []float32{1, 2, 3, 4}
	e.Download(got, a)
	for _, v := range got {
		if !math.IsNaN(float64(v)) {
			t.Fatalf("downloaded %v after a failure", got)
		}
	}
	scalar := []float64{1}
	if e.Get(scalar, engine.Buf{Addr: a.Addr, Len: 1, Type: engine.F64}); !math.IsNaN(scalar[0]) {
		t.Errorf("a scalar is %g after a failure", scalar[0])
	}
	if err := e.Close(); !errors.Is(err, want) {
		t.Errorf("close: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}
