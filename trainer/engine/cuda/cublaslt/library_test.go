package cublaslt_test

import (
	"os"
	"testing"

	"github.com/skein-train/skein/trainer/engine/cuda/cublaslt"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
)

func TestDescriptions(t *testing.T) {
	cudatest.Emulated(t)
	describe(t, cudatest.Products(t))
}

// The machine's own cuBLASLt takes our descriptions, too. That needs no GPU.
func TestDescriptionsForTheRealLibrary(t *testing.T) {
	file := os.Getenv(cublaslt.Path)
	if _, err := cublaslt.Open(file, any13); err != nil {
		t.Skip(err)
	}
	describe(t, file)
}

const any13 = 1000*cublaslt.Newest + 990 // a driver that can run whatever is there

func describe(t *testing.T, file string) {
	t.Helper()
	l, err := cublaslt.Open(file, any13)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %v", l.File, l.Version)
	for _, p := range []cublaslt.Product{
		{M: 8, N: 16, K: 24, RowA: 24, RowB: 16, RowC: 16},
		{M: 128, N: 768, K: 3072, TransB: true, RowA: 3072, RowB: 3072, RowC: 768, Half: true},
		{M: 50257, N: 768, K: 1280, TransA: true, RowA: 100528, RowB: 768, RowC: 768},
		{M: 1280, N: 768, K: 50257, RowA: 100528, RowB: 768, RowC: 768},
	} {
		if err := l.Describe(p); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
