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

func conform(t *testing.T, library string) {
	enginetest.Run(t, func(t *testing.T, threads int) engine.Engine {
		e, err := cpu.Open(engine.Options{Library: library, Threads: threads})
		if err != nil {
			t.Skip(err)
		}
		return e
	}, enginetest.Eps)
}
