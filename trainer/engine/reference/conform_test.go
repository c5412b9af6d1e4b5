package reference_test

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/enginetest"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// The reference agrees with itself, so what is left of the suite are the rules about memory and repetition.
func TestConformance(t *testing.T) {
	enginetest.Run(t, func(*testing.T, int) engine.Engine { return reference.New() }, 0)
}
