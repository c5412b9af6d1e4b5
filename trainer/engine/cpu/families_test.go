package cpu

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
	"github.com/skein-train/skein/trainer/engine/enginetest"
)

// The engine is right with every family of kernels, not only with the one that this machine would choose.
func TestEveryKernelFamily(t *testing.T) {
	for _, set := range kernels.Available() {
		for precision, eps := range map[string]float64{"fp32": enginetest.Eps, "bf16": enginetest.EpsBF16} {
			t.Run(set.Name+"/"+precision, func(t *testing.T) {
				enginetest.Run(t, func(t *testing.T, threads int) engine.Engine {
					e, err := Open(engine.Options{Precision: precision, Threads: threads})
					if err != nil {
						t.Fatal(err)
					}
					e.k, e.mul, e.layers = set, packed{}, inFP32{e, precision == "bf16"}
					return e
				}, eps)
			})
		}
	}
}
