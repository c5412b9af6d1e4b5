package configs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Matrix is a bench file: one run file, and the ways in which its runs differ.
type Matrix struct {
	Name       string         `yaml:"name"`       // of the folder that the results go to; the file's name by default
	Expect     string         `yaml:"expect"`     // what should come out, for whoever reads the report
	Base       string         `yaml:"base"`       // run file, relative to the bench file
	Set        map[string]any `yaml:"set"`        // overrides of every run
	Axes       []Axis         `yaml:"axes"`       // the runs are their product
	Tuned      Tuned          `yaml:"tuned"`      // what suits single cells
	Seeds      []uint64       `yaml:"seeds"`      // each run once per seed; [1337] by default
	Baseline   string         `yaml:"baseline"`   // label of the cell that the others are compared with, or of a choice: then with the cell that differs by it alone; the first cell by default
	Bandwidths []float64      `yaml:"bandwidths"` // bit/s up and down of every worker, that wall-clock times are worked out for
	Up         float64        `yaml:"up"`         // part of the bandwidth that is there for sending, 1 by default: 0.1 is a home line
	Latency    time.Duration  `yaml:"latency"`    // from worker to worker
	Jitter     time.Duration  `yaml:"jitter"`     // up to which a message is late besides
	Step       time.Duration  `yaml:"step_time"`  // that an inner step takes a worker
	Speeds     []float64      `yaml:"speeds"`     // step times of the workers, as multiples of step_time; all 1 by default
	Eval       int            `yaml:"eval"`       // validation batches at the end; 0: the whole split
	// Dealing says what a worker trains on. "paired": what the seed alone decides, so that runs of one seed read the same text in the same order whatever they
	// exchange, and differences between them are not those of the text. "certified": what the log decides, as in a swarm, whose state such a run ends at.
	Dealing string `yaml:"dealing"`
}

// Tuned are overrides of single cells, by their labels: a learning rate that suits this method at that batch size. They come last.
type Tuned map[string]map[string]any

// Axis is one way in which runs differ.
type Axis struct {
	Name   string   `yaml:"name"`
	Values []Choice `yaml:"values"`
}

// Choice is one value of an axis.
type Choice struct {
	Label  string         `yaml:"label"`
	Set    map[string]any `yaml:"set"`    // overrides, such as {outer.method: ddp, sync.every: 1}
	Speeds []float64      `yaml:"speeds"` // in place of the matrix's
	Lost   float64        `yaml:"lost"`   // part of the contributions that get lost on their way
	Faults []Fault        `yaml:"faults"` // what goes wrong with workers
	Pace   bool           `yaml:"pace"`   // of an asynchronous run: slow workers take fewer steps between departures, so that all depart as often (arXiv 2401.09135, DyLU)
}

// Fault is something that goes wrong with a worker as it is about to take an inner step.
type Fault struct {
	Worker int           `yaml:"worker"` // from 0
	Step   uint64        `yaml:"step"`   // of its own, from 1
	Kind   string        `yaml:"fault"`  // pause, slow or kill
	For    time.Duration `yaml:"for"`    // until it goes on, or comes back; a kill without it is for good
	Factor float64       `yaml:"factor"` // of a slow one's step time
}

// Cell is one configuration of a matrix.
type Cell struct {
	Label     string // the choices' labels
	Against   string // label of the cell that it is compared with
	Overrides []string
	Speeds    []float64 // empty: all workers are as fast
	Lost      float64
	Faults    []Fault
	Pace      bool
}

// LoadMatrix reads a bench file. Base becomes a path from here.
func LoadMatrix(path string) (Matrix, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return Matrix{}, fmt.Errorf("read bench file (configs/bench/quick.yaml is one to start from): %w", err)
	}
	m := Matrix{
		Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), Seeds: []uint64{1337}, Bandwidths: []float64{10e6, 100e6, 1e9},
		Up: 1, Step: 100 * time.Millisecond, Dealing: "paired",
	}
	if err := yaml.NewDecoder(bytes.NewReader(src), yaml.Strict()).Decode(&m); err != nil {
		return Matrix{}, fmt.Errorf("%s: %s", path, strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	if m.Base == "" {
		return Matrix{}, fmt.Errorf("%s: base is missing: name the run file that all runs share", path)
	}
	if !filepath.IsAbs(m.Base) {
		m.Base = filepath.Join(filepath.Dir(path), m.Base)
	}
	if err := m.Validate(); err != nil {
		return Matrix{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Validate reports what is wrong with the matrix itself; what is wrong with a cell, Load says.
func (m Matrix) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !safeName(m.Name) {
		bad("name %q: want letters, digits, dots, dashes and underscores", m.Name)
	}
	if len(m.Axes) == 0 {
		bad("axes: there must be one at least")
	}
	for i, a := range m.Axes {
		if a.Name == "" || len(a.Values) == 0 {
			bad("axes[%d]: it needs a name and values", i)
		}
		for j, v := range a.Values {
			if v.Label == "" || slices.ContainsFunc(a.Values[:j], func(o Choice) bool { return o.Label == v.Label }) {
				bad("axes[%d] %s: value %d needs a label of its own", i, a.Name, j)
			}
			if !(v.Lost >= 0 && v.Lost < 1) {
				bad("axes[%d] %s: %q loses %v of the contributions, want 0 or more and less than 1", i, a.Name, v.Label, v.Lost)
			}
		}
	}
	if len(m.Seeds) == 0 || len(m.Bandwidths) == 0 || m.Step <= 0 || m.Latency < 0 || m.Jitter < 0 || m.Eval < 0 {
		bad("seeds and bandwidths must not be empty, step_time must be positive, latency, jitter and eval not negative")
	}
	if !(m.Up > 0 && m.Up <= 1) {
		bad("up %v: the part of the bandwidth that is there for sending, above 0 and up to 1", m.Up)
	}
	for _, speeds := range m.speeds() {
		if slices.ContainsFunc(speeds, func(s float64) bool { return !(s > 0 && s <= 1e6) }) {
			bad("speeds %v: each is how many times step_time a worker's step takes, above 0 and up to a million", speeds)
		}
	}
	for _, b := range m.Bandwidths {
		if !(b > 0) {
			bad("bandwidths: %g bit/s must be positive", b)
		}
	}
	if m.Dealing != "paired" && m.Dealing != "certified" {
		bad("dealing %q: want paired or certified", m.Dealing)
	}
	if cells := m.Cells(); m.Baseline != "" && len(cells) > 0 && !slices.Contains(labels(cells), cells[0].Against) {
		bad("baseline %q is neither a cell nor a choice; there are %s", m.Baseline, strings.Join(labels(cells), ", "))
	}
	for label := range m.Tuned {
		if cells := labels(m.Cells()); !slices.Contains(cells, label) {
			bad("tuned: %q is no cell; there are %s", label, strings.Join(cells, ", "))
		}
	}
	return errors.Join(errs...)
}

// speeds are all lists of step times that the matrix names.
func (m Matrix) speeds() [][]float64 {
	out := [][]float64{m.Speeds}
	for _, a := range m.Axes {
		for _, v := range a.Values {
			out = append(out, v.Speeds)
		}
	}
	return out
}

func labels(cells []Cell) (out []string) {
	for _, c := range cells {
		out = append(out, c.Label)
	}
	return out
}

// Cells are the product of the axes, the last one turning fastest.
func (m Matrix) Cells() []Cell {
	cells := []Cell{{Overrides: overrides(m.Set), Speeds: m.Speeds}}
	for _, a := range m.Axes {
		var next []Cell
		for _, c := range cells {
			for _, v := range a.Values {
				base := v.Label
				if (Matrix{Axes: []Axis{a}}).choice(m.Baseline) {
					base = m.Baseline
				}
				cell := Cell{
					Label: strings.TrimSpace(c.Label + " " + v.Label), Against: strings.TrimSpace(c.Against + " " + base), Overrides: slices.Concat(c.Overrides, overrides(v.Set)),
					Speeds: c.Speeds, Lost: max(c.Lost, v.Lost), Faults: slices.Concat(c.Faults, v.Faults), Pace: c.Pace || v.Pace,
				}
				if len(v.Speeds) > 0 {
					cell.Speeds = v.Speeds
				}
				next = append(next, cell)
			}
		}
		cells = next
	}
	for i := range cells {
		cells[i].Overrides = slices.Concat(cells[i].Overrides, overrides(m.Tuned[cells[i].Label]))
		if !m.choice(m.Baseline) {
			cells[i].Against = cmp.Or(m.Baseline, cells[0].Label)
		}
	}
	return cells
}

// choice says whether some value of an axis has the label.
func (m Matrix) choice(label string) bool {
	return slices.ContainsFunc(m.Axes, func(a Axis) bool {
		return slices.ContainsFunc(a.Values, func(v Choice) bool { return v.Label == label })
	})
}

// overrides writes settings as the command line would, in a fixed order.
func overrides(set map[string]any) []string {
	var out []string
	for k, v := range set {
		text := fmt.Sprint(v)
		if list, ok := v.([]any); ok {
			var parts []string
			for _, x := range list {
				parts = append(parts, fmt.Sprint(x))
			}
			text = "[" + strings.Join(parts, ", ") + "]"
		}
		out = append(out, k+"="+text)
	}
	slices.Sort(out)
	return out
}
