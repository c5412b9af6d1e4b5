// Package cudatest gives tests a GPU that is none: NVIDIA's driver interface in front of the kernels compiled for the
// processor, see ../kernels/emulate. What the fake driver can be told is listed in libcuda.cpp.
package cudatest

import (
	"errors"
	"os"
	"testing"

	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// Real is the environment variable that makes tests use the machine's own driver and GPU instead.
const Real = "SKEIN_TEST_GPU"

// errUnable says that this machine cannot compile the emulated GPU at all.
var errUnable = errors.New("no emulated GPU")

// Driver is the file of the driver to test with. It is compiled when its sources have changed. The test is skipped where there is no compiler
// for it, and fails where that one refuses the sources.
func Driver(t testing.TB) string {
	t.Helper()
	if os.Getenv(Real) != "" {
		return os.Getenv(driver.Path)
	}
	file, err := build()
	if errors.Is(err, errUnable) {
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
