package cpu_test

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu"
	"github.com/skein-train/skein/trainer/engine/enginetest"
)

func TestOneDNN(t *testing.T)     { conform(t, "onednn") }
func TestOpenBLAS(t *testing.T)   { conform(t, "openblas") }
func TestAccelerate(t *testing.T) { conform(t, "accelerate") }
func TestBuiltin(t *testing.T)    { conform(t, "builtin") }
func TestGonum(t *testing.T)      { conform(t, "gonum") }

// What does not multiply is the same code for every library: see TestEveryKernelFamily.
func conform(t *testing.T, library string) {
	for precision, eps := range map[string]float64{"fp32": enginetest.Eps, "bf16": enginetest.EpsBF16} {
		t.Run(precision, func(t *testing.T) {
			enginetest.RunProducts(t, func(t *testing.T, threads int) engine.Engine {
				e, err := cpu.Open(engine.Options{Library: library, Precision: precision, Threads: threads})
				if err != nil {
					t.Skip(err)
				}
				return e
			}, eps)
		})
	}
}
