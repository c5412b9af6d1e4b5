package cublaslt_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/trainer/engine/cuda/cublaslt"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// Wheels, toolkits and conda are looked through, newer versions first, and of those only what the driver can run.
func TestPlaces(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("folders are named as on Linux")
	}
	root := t.TempDir()
	for _, name := range []string{"VIRTUAL_ENV", "CONDA_PREFIX", "CUDA_HOME"} {
		t.Setenv(name, filepath.Join(root, name))
	}
	t.Setenv("HOME", filepath.Join(root, "home"))
	t.Setenv("PATH", filepath.Join(root, "pypy", "bin"))
	for _, file := range []string{
		"VIRTUAL_ENV/lib/python3.12/site-packages/nvidia/cublas/lib/libcublasLt.so.12",
		"VIRTUAL_ENV/lib/python3.12/site-packages/nvidia/cu13/lib/libcublasLt.so.13",
		"VIRTUAL_ENV/lib/python3.12/site-packages/nvidia/cudnn/lib/libcudnn.so.9",
		"CONDA_PREFIX/lib/libcublasLt.so.12",
		"CUDA_HOME/lib64/libcublasLt.so.11",
		"CUDA_HOME/lib64/libcublasLt.so.12",
		"home/.local/lib/python3.9/site-packages/nvidia/cublas/lib/libcublasLt.so.12",
		"home/.pyenv/versions/3.11.7/lib/python3.11/site-packages/nvidia/cublas/lib/libcublasLt.so.12",
		"pypy/lib/python3/dist-packages/nvidia/cublas/lib/libcublasLt.so.12",
		"pypy/bin/python3",
	} {
		file = filepath.Join(root, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	places := func(v driver.Version) (found []string) {
		for _, f := range cublaslt.Places(v) {
			if in, ok := strings.CutPrefix(f, root+"/"); ok || !filepath.IsAbs(f) { // not what this machine has
				found = append(found, strings.Split(in, "/")[0]+" "+filepath.Base(f))
			}
		}
		return found
	}
	twelve := []string{"libcublasLt.so.12 libcublasLt.so.12", "CUDA_HOME libcublasLt.so.12", "CONDA_PREFIX libcublasLt.so.12",
		"VIRTUAL_ENV libcublasLt.so.12", "pypy libcublasLt.so.12", "home libcublasLt.so.12", "home libcublasLt.so.12"}
	thirteen := append([]string{"libcublasLt.so.13 libcublasLt.so.13", "VIRTUAL_ENV libcublasLt.so.13"}, twelve...)
	if got := places(12040); !slices.Equal(got, twelve) {
		t.Errorf("with a driver for 12.4: %q", got)
	}
	if got := places(13000); !slices.Equal(got, thirteen) {
		t.Errorf("with a driver for 13.0: %q", got)
	}
}

// What does not fit is passed over; if nothing else is there it is told.
func TestFirstThatFits(t *testing.T) {
	other, file := cudatest.Emulated(t), cudatest.Products(t)
	empty := filepath.Join(t.TempDir(), "libcublasLt.so.12")
	if err := os.WriteFile(empty, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := cublaslt.First([]string{"libnonesuch.so.12", empty, other, file}, 12080)
	if err != nil || l.File != file || l.Version != (cublaslt.Version{Major: 12, Minor: 6}) {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := cublaslt.First([]string{"libnonesuch.so.12", other, empty}, 12080); !errors.Is(err, cublaslt.ErrUnfit) || !strings.Contains(err.Error(), "lacks") {
		t.Errorf("got %v", err)
	}
	if _, err := cublaslt.First([]string{empty}, 12080); !errors.Is(err, cublaslt.ErrUnfit) || !strings.Contains(err.Error(), empty) {
		t.Errorf("got %v", err)
	}
	for v, wheel := range map[driver.Version]string{12080: "pip install nvidia-cublas-cu12", 13000: "pip install nvidia-cublas,"} {
		if _, err := cublaslt.First([]string{"libnonesuch.so.12"}, v); !errors.Is(err, cublaslt.ErrMissing) || !strings.Contains(err.Error(), wheel) {
			t.Errorf("got %v", err)
		}
	}
}
