// Package cudatest gives tests a GPU that is none: NVIDIA's driver interface in front of the kernels compiled for the
// processor, and cuBLASLt's over the same memory; see ../kernels/emulate. What the fakes can be told is listed in libcuda.cpp and libcublasLt.cpp.
package cudatest

import (
	"cmp"
	"errors"
	"os"
	"testing"

	"github.com/skein-train/skein/trainer/engine/cuda/cublaslt"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// Real is the environment variable that makes tests use the machine's own driver and GPU instead.
const Real = "SKEIN_TEST_GPU"

// Insist is the environment variable that makes tests fail where they would be skipped because the emulated GPU cannot be compiled.
const Insist = "SKEIN_TEST_INSIST"

// errUnable says that this machine cannot compile the emulated GPU at all.
var errUnable = errors.New("no emulated GPU")

// Driver is the file of the driver to test with. It is compiled when its sources have changed. The test is skipped where there is no compiler
// for it, unless somebody insists, and fails where that one refuses the sources.
func Driver(t testing.TB) string {
	t.Helper()
	return file(t, driver.Path, build)
}

// Products is what engine.Options.Library has to be for a cuBLASLt that computes on Driver's GPU.
func Products(t testing.TB) string {
	t.Helper()
	return cmp.Or(file(t, cublaslt.Path, buildProducts), "cublaslt")
}

// file is what a variable names where the GPU is real, else what build makes.
func file(t testing.TB, variable string, build func() (string, error)) string {
	t.Helper()
	if os.Getenv(Real) != "" {
		return os.Getenv(variable)
	}
	file, err := build()
	if errors.Is(err, errUnable) && os.Getenv(Insist) == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("emulated GPU: %v", err)
	}
	return file
}

// Emulated is Driver for tests of what only the fake driver does.
func Emulated(t testing.TB) string {
	t.Helper()
	if os.Getenv(Real) != "" {
		t.Skip("this test is for the emulated GPU")
	}
	return Driver(t)
}
