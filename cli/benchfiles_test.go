package cli

import (
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
			keys := map[string]string{}
			for _, j := range jobs {
				if _, err := partsOf(j.config); err != nil {
					t.Errorf("%s: %v", j.cell.Label, err)
				}
				if twin, twice := keys[j.key]; twice {
					t.Errorf("%q and %q are the same run", twin, j.cell.Label)
				}
				keys[j.key] = j.cell.Label
				batch, tokens := uint64(j.config.Train.BatchSize*j.config.Swarm.LocalWorkers), uint64(j.config.Train.Steps)*tokensPerStep(j.config)
				if first := jobs[0].config; batch != uint64(first.Train.BatchSize*first.Swarm.LocalWorkers) || tokens != uint64(first.Train.Steps)*tokensPerStep(first) {
					t.Errorf("%q: %d sequences a step and %d tokens are not those of %q", j.cell.Label, batch, tokens, jobs[0].cell.Label)
				}
				if e := j.config.Eval.Every; e == 0 || uint64(e)*2 > uint64(scheduleOf(j.config).Rounds()) {
					t.Errorf("%q is not evaluated twice in its %d rounds", j.cell.Label, scheduleOf(j.config).Rounds())
				}
			}
		})
	}
}
