// Package auto opens the engine that Options ask for.
package auto

import (
	"fmt"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// Open returns the engine of the asked kind. "auto" is the fastest that this build knows, today cpu. What was asked
// for and is not there is an error that says what to install.
func Open(o engine.Options) (engine.Engine, error) {
	switch o.Kind {
	case "", "auto", "cpu":
		e, err := cpu.Open(o)
		if err != nil {
			return nil, err
		}
		return e, nil
	case "reference":
		if o.Precision != "" && o.Precision != "fp32" {
			return nil, fmt.Errorf("engine reference: precision %q: it computes in float64; choose fp32", o.Precision)
		}
		return reference.New(), nil
	}
	return nil, fmt.Errorf("engine %q: unknown; choose auto, cpu or reference", o.Kind)
}
