package cli

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/skein-train/skein/configs"
)

// Every bench file in configs/bench resolves, cell by cell, to a run that can be built.
func TestBenchFiles(t *testing.T) {
	files, err := filepath.Glob("../configs/bench/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if filepath.Base(f) == "base.yaml" {
			continue
		}
		t.Run(filepath.Base(f), func(t *testing.T) {
			spec, err := configs.LoadMatrix(f)
			if err != nil {
				t.Fatal(err)
			}
			if spec.Expect == "" {
				t.Error("it does not say what is expected")
			}
			jobs, err := (&matrix{Matrix: spec}).jobs()
			if err != nil {
				t.Fatal(err)
			}
			keys, byLabel := map[string]string{}, map[string]job{}
			for _, j := range jobs {
				byLabel[j.cell.Label] = j
			}
			for _, j := range jobs {
				if _, err := partsOf(j.config); err != nil {
					t.Errorf("%s: %v", j.cell.Label, err)
				}
				if twin, twice := keys[j.key]; twice {
					t.Errorf("%q and %q are the same run", twin, j.cell.Label)
				}
				keys[j.key] = j.cell.Label
				base := byLabel[j.cell.Against]
				if got, want := sequences(&matrix{Matrix: spec}, j), sequences(&matrix{Matrix: spec}, base); math.Abs(got/want-1) > 0.002 {
					t.Errorf("%q trains %.0f sequences, %q %.0f", j.cell.Label, got, base.cell.Label, want)
				}
				if e := j.config.Eval.Every; e == 0 || uint64(e)*2 > uint64(scheduleOf(j.config).Rounds()) {
					t.Errorf("%q is not evaluated twice in its %d rounds", j.cell.Label, scheduleOf(j.config).Rounds())
				}
			}
		})
	}
}

// sequences are those that a run trains on.
func sequences(m *matrix, j job) float64 {
	n := float64(j.config.Train.BatchSize * j.config.Train.Steps)
	if j.config.Outer.Method != "async" {
		return n * float64(j.config.Swarm.LocalWorkers)
	}
	if !j.cell.Pace {
		return n
	}
	taken, hosts := 0.0, m.hosts(j, 0)
	for _, h := range hosts {
		taken += h.Pace
	}
	return n * taken / float64(len(hosts))
}
