package cpu

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/enginetest"
)

// oneDNN's products of bfloat16: on processors that have none it emulates them, slowly and right.
func TestNative(t *testing.T) {
	enginetest.RunProducts(t, func(t *testing.T, threads int) engine.Engine {
		e, err := Open(engine.Options{Precision: "bf16", Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.native(); err != nil {
			t.Skip(err)
		}
		return e
	}, enginetest.EpsBF16)
}
