package gradients_test

import (
	"flag"

	"github.com/skein-train/skein/internal/racetest"
)

// There are no goroutines here for the race detector: fewer draws will do.
func init() {
	if racetest.Enabled {
		if err := flag.Set("rapid.checks", "25"); err != nil {
			panic(err)
		}
	}
}
