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
		t.Run(set.Name, func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T, threads int) engine.Engine {
				e, err := Open(engine.Options{Threads: threads})
				if err != nil {
					t.Fatal(err)
				}
				e.k, e.mul = set, packed{}
				return e
			}, enginetest.Eps)
		})
	}
}
