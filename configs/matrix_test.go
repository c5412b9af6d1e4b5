package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// matrixFile writes a bench file and reads it.
func matrixFile(t *testing.T, text string) (Matrix, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "some.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return LoadMatrix(path)
}

func TestCellsAreTheProductOfTheAxes(t *testing.T) {
	m, err := matrixFile(t, `
base: run.yaml
set: {train.steps: 20, inner.betas: [0.9, 0.95]}
speeds: [1, 1]
axes:
  - {name: method, values: [{label: a}, {label: b, set: {outer.lr: 0.7}, pace: true}]}
  - {name: rounds, values: [{label: short}, {label: long, set: {sync.every: 100}, speeds: [1, 4], lost: 0.5, faults: [{worker: 1, step: 3, fault: pause, for: 2s}]}]}
tuned: {a long: {sync.every: 50}}
`)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"inner.betas=[0.9, 0.95]", "train.steps=20"}
	pause := []Fault{{Worker: 1, Step: 3, Kind: "pause", For: 2 * time.Second}}
	with := func(more ...string) []string { return append(all[:2:2], more...) }
	want := []Cell{
		{Label: "a short", Against: "a short", Overrides: all, Speeds: []float64{1, 1}},
		{Label: "a long", Against: "a short", Overrides: with("sync.every=100", "sync.every=50"), Speeds: []float64{1, 4}, Lost: 0.5, Faults: pause},
		{Label: "b short", Against: "a short", Overrides: with("outer.lr=0.7"), Speeds: []float64{1, 1}, Pace: true},
		{Label: "b long", Against: "a short", Overrides: with("outer.lr=0.7", "sync.every=100"), Speeds: []float64{1, 4}, Lost: 0.5, Faults: pause, Pace: true},
	}
	if got := m.Cells(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	m.Baseline = "b" // of each length the one with b
	for i, c := range m.Cells() {
		if want := []string{"b short", "b long"}[i%2]; c.Against != want {
			t.Errorf("%q is compared with %q, want %q", c.Label, c.Against, want)
		}
	}
	if m.Name != "some" || filepath.Base(m.Base) != "run.yaml" || !filepath.IsAbs(m.Base) || len(m.Seeds) != 1 || len(m.Bandwidths) != 3 {
		t.Errorf("%+v", m)
	}
}

func TestMistakesInABenchFile(t *testing.T) {
	const axes = "axes: [{name: m, values: [{label: a}, {label: b}]}]\n"
	for text, want := range map[string]string{
		axes:                                "base is missing",
		"base: x\n":                         "axes: there must be one",
		"base: x\naxis: []\n" + axes:        "axis",
		"base: x\nname: ../x\n" + axes:      "name",
		"base: x\nbaseline: c\n" + axes:     `baseline "c" is neither a cell nor a choice; there are a, b`,
		"base: x\ntuned: {c: {}}\n" + axes:  `tuned: "c" is no cell; there are a, b`,
		"base: x\nseeds: []\n" + axes:       "seeds",
		"base: x\nbandwidths: [0]\n" + axes: "0 bit/s must be positive",
		"base: x\nspeeds: [1, 0]\n" + axes:  "speeds [1 0]",
		"base: x\nup: 2\n" + axes:           "up 2: the part of the bandwidth",
		"base: x\njitter: -1s\n" + axes:     "not negative",
		"base: x\ndealing: fair\n" + axes:   `dealing "fair": want paired or certified`,
		"base: x\naxes: [{name: m, values: [{label: a, lost: 1}]}]\n":    "less than 1",
		"base: x\naxes: [{name: m, values: []}]\n":                       "it needs a name and values",
		"base: x\naxes: [{name: m, values: [{label: a}, {label: a}]}]\n": "value 1 needs a label of its own",
	} {
		if _, err := matrixFile(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := LoadMatrix("missing.yaml"); err == nil || !strings.Contains(err.Error(), "configs/bench/quick.yaml") {
		t.Error(err)
	}
}
