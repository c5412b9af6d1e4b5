package cuda_test

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine/enginetest"
)

func TestProducts(t *testing.T) {
	enginetest.RunOnly(t, open, enginetest.EpsBF16, "matmul/", "linear/", "linear to fp32/", "linear back/", "refreshed/", "linear gradient/", "linear gradient from fp32/")
}

func TestHead(t *testing.T) {
	enginetest.RunOnly(t, open, enginetest.EpsBF16, "loss/", "head/", "head, z-loss, accumulated/")
}
