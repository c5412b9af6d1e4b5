package auto_test

import (
	"strings"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
)

func TestOpen(t *testing.T) {
	for kind, name := range map[string]string{"": "cpu: ", "auto": "cpu: ", "cpu": "cpu: ", "reference": "reference: "} {
		e, err := auto.Open(engine.Options{Kind: kind, Threads: 2})
		if err != nil {
			t.Fatalf("kind %q: %v", kind, err)
		}
		if !strings.HasPrefix(e.Name(), name) {
			t.Errorf("kind %q opened %q, want %q…", kind, e.Name(), name)
		}
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, o := range []engine.Options{
		{Kind: "cuda"},
		{Kind: "cpu", Library: "nonesuch"},
		{Kind: "cpu", Precision: "fp8"},
		{Kind: "cpu", Threads: -1},
		{Kind: "reference", Precision: "bf16"},
	} {
		if e, err := auto.Open(o); err == nil {
			t.Errorf("%+v opened %q, want an error", o, e.Name())
		}
	}
}
