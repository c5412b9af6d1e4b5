package cli

import (
	"bytes"
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// tinyRun is a run file of the size of configs/tiny.yaml.
func tinyRun(t *testing.T, overrides ...string) configs.Config {
	t.Helper()
	c, err := configs.Load("../configs/tiny.yaml", append(overrides, "train.engine=reference"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func forecastOf(t *testing.T, c configs.Config) forecast {
	t.Helper()
	f, err := predict("run.yaml", c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A worker's vectors are counted for each worker, and once for each purpose.
func TestPredictCountsVectors(t *testing.T) {
	f := forecastOf(t, tinyRun(t, "swarm.local_workers=3"))
	const vector, scalars = 4 * 869504, 64 // bytes
	for _, n := range f.Needs {
		want := map[string]int64{"parameters": vector, "gradients": vector, "inner optimizer": 2*vector + scalars, "anchor": vector, "outer optimizer": vector}[n.Purpose]
		if want != 0 && (n.Bytes != want || n.Times != 3) {
			t.Errorf("%+v, want 3 × %d", n, want)
		}
	}
	less := forecastOf(t, tinyRun(t, "swarm.local_workers=3", "train.micro_batch_size=4"))
	again := forecastOf(t, tinyRun(t, "swarm.local_workers=3", "train.recompute=block"))
	if less.Total >= f.Total || again.Total >= f.Total {
		t.Errorf("whole %d bytes, smaller micro-batches %d, blocks computed again %d", f.Total, less.Total, again.Total)
	}
}

func TestPredictRemedies(t *testing.T) {
	c := tinyRun(t)
	f := forecastOf(t, c)
	for _, x := range []struct {
		free float64 // of what the run takes
		want string
	}{
		{.9, "train.micro_batch_size=8 train.recompute=none swarm.local_workers=4"},
		{.3, "swarm.local_workers="},
		{.01, "a larger machine"},
	} {
		g := f
		g.Free = uint64(x.free * float64(f.Total))
		got, err := g.remedy(c)
		if err != nil || !strings.Contains(got, x.want) {
			t.Errorf("with %.0f %% free: %q, %v; want %q", 100*x.free, got, err, x.want)
		}
	}
}

func TestForecastIsTold(t *testing.T) {
	f := forecast{File: "x.yaml", Parameters: 1234567, Workers: 2, Engine: "cpu", Needs: needs{{"parameters", 1 << 20, 2}, {"none", 0, 2}}, Total: 2 << 20, Free: 1 << 20, Advice: "buy more"}
	var out bytes.Buffer
	f.tell(newConsole(&out))
	for _, want := range []string{"1,234,567 parameters, 2 workers", "parameters          1.0 MiB × 2   =    2.0 MiB", "!!  only 1.0 MiB are free", "→ buy more"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "none") {
		t.Errorf("what takes nothing is listed:\n%s", &out)
	}
}

// The limit is below the prediction by what is no heap, goes away again, and never raises the user's.
func TestHold(t *testing.T) {
	f, before := needs{{"vectors", 1 << 30, 2}}, debug.SetMemoryLimit(-1)
	release := f.hold()
	if got := debug.SetMemoryLimit(-1); got != 2<<30-mapped {
		t.Errorf("limit %d", got)
	}
	release()
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("limit %d afterwards", got)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 30))
	defer f.hold()()
	if got := debug.SetMemoryLimit(-1); got != 1<<30 {
		t.Errorf("the user's limit became %d", got)
	}
}

// A run and a guest are refused where a GPU has less free than they take of it; of several GPUs the fullest counts.
func TestAFullGPURefuses(t *testing.T) {
	t.Setenv(driver.Path, cudatest.Emulated(t))
	cudatest.Setenv(t, "FAKE_CUDA_DEVICES", "2")
	cudatest.Setenv(t, "FAKE_CUDA_MEMORY", "100000000")
	c := tinyRun(t, "train.precision=bf16", "swarm.local_workers=3")
	c.Train.Engine = "cuda"
	p, err := partsOf(c)
	if err != nil {
		t.Fatal(err)
	}
	found, err := footprintOf(c, p, true)
	if err != nil {
		t.Fatal(err)
	}
	if d := found.device; d == nil || !strings.Contains(d.Name, "GPU 0") || d.Needs[0].Times != 2 || d.fits() {
		t.Fatalf("the fullest GPU is %+v", d)
	}
	_, err = (&session{cfg: c}).hold()
	if err == nil || !strings.Contains(err.Error(), "GPU 0") || !strings.Contains(err.Error(), "are free: with train.micro_batch_size=") {
		t.Errorf("a run: %v", err)
	}
	price, err := costOf(c, p, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if err := price.fits(means{math.MaxUint64, math.MaxUint64}, t.TempDir()); err == nil || !strings.Contains(err.Error(), "GPU 0") || !strings.Contains(err.Error(), "--workers") {
		t.Errorf("a guest: %v", err)
	}
}
