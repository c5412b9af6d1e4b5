package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skein-train/skein/bench"
	"github.com/skein-train/skein/bench/report"
	"github.com/skein-train/skein/configs"
)

func newCompareCommand() *cobra.Command {
	var asJSON bool
	var dir string
	cmd := &cobra.Command{
		Use:   "compare RUN …",
		Short: "put finished runs beside each other: a table, pictures, a page",
		Long: "compare reads what finished runs have noted, and makes of it the report that `skein bench FILE` makes of a matrix. RUN is a name under runs/, or a folder.\n" +
			"The first is the baseline. Runs that differ by nothing but their seed count as one, with an interval; gaps are taken between runs of the same seed.",
		Example: "  skein compare ddp tiny\n  skein compare ddp-0 ddp-1 tiny-0 tiny-1 --out report",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			outcomes, err := pastOutcomes(runsDir(cmd), args)
			if err != nil {
				return err
			}
			r, err := report.New("compare "+strings.Join(args, ", "), "", outcomes)
			if err != nil {
				return err
			}
			if dir == "" {
				dir = filepath.Join(runsDir(cmd), "bench", compareName(args))
			}
			r.Commands = []string{"skein compare " + strings.Join(args, " ")}
			return publishReport(cmd, r, dir, outcomes, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the outcomes as JSON on standard output")
	cmd.Flags().StringVar(&dir, "out", "", "folder for the report; runs/bench/compare-… without it")
	return cmd
}

// compareName is a folder's name for the report on these runs.
func compareName(runs []string) string {
	const most = 4
	parts := []string{"compare"}
	for i, run := range runs {
		if i == most {
			parts = append(parts, fmt.Sprintf("and-%d-more", len(runs)-most))
			break
		}
		parts = append(parts, fileName(filepath.Base(run)))
	}
	return strings.Join(parts, "-")
}

// past is a finished run as it lies on disk.
type past struct {
	dir     runDir
	cfg     configs.Config
	summary summary
	rounds  []record
}

// pastOutcomes reads finished runs. Those that differ by their seed alone become runs of one cell, which has the first one's name.
func pastOutcomes(runs string, names []string) (out []bench.Outcome, err error) {
	var first past
	cells := map[string]string{} // by settings
	for i, name := range names {
		p, err := readPast(runs, name)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = p
		}
		if a, b := first.cfg.Data, p.cfg.Data; a.Source != b.Source || a.Tokenizer != b.Tokenizer || a.SeqLen != b.SeqLen || a.ValFraction != b.ValFraction {
			return nil, fmt.Errorf("%s validates on other text than %s: their losses do not compare (section data of %s and %s)", p.dir, first.dir, p.dir.config(), first.dir.config())
		}
		settings := p.settings()
		if _, known := cells[settings]; !known {
			cells[settings] = filepath.Base(string(p.dir))
		}
		out = append(out, p.outcome(cells[settings]))
	}
	return out, nil
}

// readPast finds a run by its name or folder.
func readPast(runs, name string) (p past, err error) {
	p.dir = runDir(filepath.Join(runs, name))
	if !p.dir.exists() && runDir(name).exists() {
		p.dir = runDir(filepath.Clean(name))
	}
	switch {
	case !p.dir.exists():
		return p, fmt.Errorf("there is no run in %s; `skein status` lists the runs of this machine", p.dir)
	case !p.dir.finished():
		return p, fmt.Errorf("%s is not finished; go on with it: skein run %s --resume", p.dir, p.dir)
	}
	text, err := os.ReadFile(p.dir.config())
	if err != nil {
		return p, err
	}
	if p.cfg, err = configs.Parse(text); err != nil {
		return p, fmt.Errorf("%s: %w", p.dir.config(), err)
	}
	if text, err = os.ReadFile(p.dir.summary()); err != nil {
		return p, err
	}
	if err := json.Unmarshal(text, &p.summary); err != nil {
		return p, fmt.Errorf("%s: %w", p.dir.summary(), err)
	}
	if p.summary.ValLoss == nil {
		return p, fmt.Errorf("%s has no validation loss to compare: its data.val_fraction is 0", p.dir)
	}
	if p.rounds, err = readMetrics(p.dir.metrics()); errors.Is(err, os.ErrNotExist) {
		return p, fmt.Errorf("%s has a summary but no metrics: %w", p.dir, err)
	}
	return p, err
}

// settings are what runs of one cell have in common.
func (p past) settings() string {
	c := common(p.cfg)
	c.Name, c.Seed, c.Checkpoint, c.Eval = "", 0, configs.Checkpoint{}, configs.Eval{}
	return string(c.Resolved())
}

// outcome puts what a run has noted into the form of a bench. Its only road is the one that it took.
func (p past) outcome(cell string) bench.Outcome {
	s := p.summary
	o := bench.Outcome{
		Cell: cell, Seed: p.cfg.Seed, Method: s.Method, Codec: p.cfg.Sync.Codec, Workers: s.Workers, Every: uint64(p.cfg.Sync.Every), Params: s.Params,
		Steps: s.InnerSteps, Tokens: s.Tokens, ValLoss: *s.ValLoss, Root: s.StateHash, Payload: int64(s.PayloadBytes), Seconds: s.WallS,
	}
	if p.cfg.Outer.Method == "async" { // its steps are those of all workers together
		o.Steps /= uint64(max(1, o.Workers))
	}
	var sent int64
	var waited float64
	for _, r := range p.rounds {
		sent += int64(r.PayloadBytes)
		waited += r.WaitS
		o.Points = append(o.Points, bench.Point{Round: r.Round, Step: r.Step, Tokens: r.Tokens, Payload: sent, Loss: r.TrainLoss, Val: r.EvalLoss, Wall: r.WallS})
		if r.CosineMean != nil {
			o.Cosine = append(o.Cosine, *r.CosineMean)
		}
	}
	o.Roads = []bench.Road{{Time: time.Duration(s.WallS * float64(time.Second)), Utilisation: max(0, 1-waited/max(s.WallS, 1e-9)), Sent: int64(s.BytesSent)}}
	return o
}
