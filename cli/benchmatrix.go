package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/bench"
	"github.com/skein-train/skein/bench/report"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/shards"
)

// matrix is a bench file under way.
type matrix struct {
	configs.Matrix
	dir   string // where the outcomes go
	runs  string // where token shards are kept
	fresh bool   // train what has been trained before, too
	out   *console
}

// job is one run of a matrix.
type job struct {
	cell   configs.Cell
	seed   uint64
	config configs.Config
	key    string // hash of all that the outcome hangs on
}

// jobs are all runs, checked before the first one starts.
func (m *matrix) jobs() (jobs []job, err error) {
	for _, cell := range m.Cells() {
		for _, seed := range m.Seeds {
			c, err := configs.Load(m.Base, slices.Concat(cell.Overrides, []string{fmt.Sprint("seed=", seed)}))
			if err != nil {
				return nil, fmt.Errorf("cell %q: %w", cell.Label, err)
			}
			if n := len(cell.Speeds); n > 0 && n != c.Swarm.LocalWorkers {
				return nil, fmt.Errorf("cell %q: there are %d speeds for %d workers (swarm.local_workers)", cell.Label, n, c.Swarm.LocalWorkers)
			}
			if cell.Pace && c.Outer.Method != "async" {
				return nil, fmt.Errorf("cell %q: pace is for outer.method async, this is %s", cell.Label, c.Outer.Method)
			}
			if err := bench.CheckFaults(faultsOf(cell), c.Swarm.LocalWorkers); err != nil {
				return nil, fmt.Errorf("cell %q: %w", cell.Label, err)
			}
			c.Train.Threads = 1
			jobs = append(jobs, job{cell, seed, c, m.key(cell, c)})
		}
	}
	return jobs, nil
}

// key changes with everything that an outcome hangs on but the program itself.
func (m *matrix) key(cell configs.Cell, c configs.Config) string {
	text := append(common(c).Resolved(), fmt.Sprintf("eval batches: %d\ndealing: %s\nlost: %v\nfaults: %v\n", m.Eval, m.Dealing, cell.Lost, cell.Faults)...)
	if c.Outer.Method == "async" || len(cell.Faults) > 0 { // elsewhere speeds change the time alone
		text = append(text, fmt.Sprintf("speeds: %v\npace: %v\nstep time: %v\n", cell.Speeds, cell.Pace, m.Step)...)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// outcome is where one run's outcome lies.
func (m *matrix) outcome(j job) string {
	return filepath.Join(m.dir, "cells", fmt.Sprintf("%s-%d.json", fileName(j.cell.Label), j.seed))
}

// fileName keeps of a label what every system takes in a file's name.
func fileName(label string) string {
	b := []byte(label)
	for i, c := range b {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-') {
			b[i] = '_'
		}
	}
	return string(b)
}

// run trains what has not been trained yet. What a crash or Ctrl+C leaves undone, the next call does.
func (m *matrix) run(ctx context.Context) (outcomes []bench.Outcome, err error) {
	jobs, err := m.jobs()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(m.dir, "cells"), 0o755); err != nil {
		return nil, err
	}
	defer m.out.update("")
	known := make([]bench.Outcome, len(jobs))
	p := &benchProgress{out: m.out, start: time.Now()}
	for i, j := range jobs {
		if known[i], err = m.recall(j); err != nil {
			return nil, err
		}
		if known[i].Key == "" {
			p.all++
		}
	}
	for i, j := range jobs {
		o := known[i]
		o.Against = j.cell.Against
		if o.Key == "" {
			p.begin(j)
			if o, err = m.train(ctx, j, p.step); err == nil {
				o.Key = j.key
				err = writeOutcome(m.outcome(j), o)
			}
			if err != nil {
				return nil, fmt.Errorf("cell %q, seed %d: %w", j.cell.Label, j.seed, err)
			}
			p.end(o)
		}
		if o.Roads, err = m.roads(ctx, j, o); err != nil {
			return nil, fmt.Errorf("cell %q, seed %d: %w", j.cell.Label, j.seed, err)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// recall reads an earlier call's outcome. It is empty if there is none, or if it is of other settings.
func (m *matrix) recall(j job) (o bench.Outcome, err error) {
	path := m.outcome(j)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return o, nil
	case err != nil:
		return o, err
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return o, fmt.Errorf("%s: %w\nremove it to train that run again", path, err)
	}
	if m.fresh || o.Key != j.key {
		return bench.Outcome{}, nil
	}
	return o, nil
}

func writeOutcome(path string, o bench.Outcome) error {
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'))
}

// hosts are the workers' machines: as fast as the cell says, and with a link of that bandwidth; 0 has no limit.
func (m *matrix) hosts(j job, bandwidth float64) []bench.Host {
	speeds := j.cell.Speeds
	if len(speeds) == 0 {
		speeds = slices.Repeat([]float64{1}, j.config.Swarm.LocalWorkers)
	}
	var out []bench.Host
	for _, s := range speeds {
		h := bench.Host{Up: m.Up * bandwidth, Down: bandwidth, Step: time.Duration(s * float64(m.Step))}
		if bandwidth > 0 {
			h.Latency, h.Jitter = m.Latency/2, m.Jitter/2
		}
		if j.cell.Pace {
			h.Pace = slices.Min(speeds) / s
		}
		out = append(out, h)
	}
	return out
}

// plan is what a simulation of the run hangs on besides the run file: hosts, the dealing of text, and what goes wrong.
func (m *matrix) plan(j job, bandwidth float64) bench.Options {
	o := bench.Options{Hosts: m.hosts(j, bandwidth), Faults: faultsOf(j.cell), Assign: shards.Assign}
	if bandwidth > 0 {
		o.Seat.Latency, o.Seat.Jitter = m.Latency/2, m.Jitter/2
	}
	if m.Dealing == "paired" {
		o.Assign = func(_ [32]byte, cursor uint64, roster []uint32, share uint64) []uint64 {
			return shards.Assign([32]byte{}, cursor, roster, share) // the seed has shuffled the stream
		}
	}
	if part := j.cell.Lost; part > 0 {
		o.Lost = func(worker int, departure uint64) bool {
			return rand.New(rand.NewPCG(j.seed, uint64(worker)<<32|departure)).Float64() < part
		}
	}
	return o
}

func faultsOf(c configs.Cell) (out []bench.Fault) {
	for _, f := range c.Faults {
		out = append(out, bench.Fault(f))
	}
	return out
}

// roads works out what the run takes at each bandwidth, from the sizes of what was sent.
func (m *matrix) roads(ctx context.Context, j job, o bench.Outcome) (out []bench.Road, err error) {
	if o.Error != "" {
		return nil, nil
	}
	for _, b := range m.Bandwidths {
		var r *bench.Result
		if plan := m.plan(j, b); j.config.Outer.Method == "async" || len(plan.Faults) > 0 {
			r, err = rehearse(ctx, j.config, plan)
		} else {
			schedule := scheduleOf(j.config)
			r, err = bench.Dry{
				Schedule: schedule, Topology: aggregator.Topology(j.config.Sync.Topology), Payload: int(o.Payload / int64(max(1, schedule.Rounds()))),
				Header: aggregator.SignedHeaderSize, Certificate: 300, Hosts: plan.Hosts, Seat: plan.Seat,
			}.Run()
		}
		if err != nil {
			return nil, err
		}
		out = append(out, bench.Road{Bandwidth: b, Time: r.Time, Utilisation: r.Utilisation(), Sent: slices.Max(r.Sent)})
	}
	return out, nil
}

// benchFlags are those of `skein bench FILE`.
type benchFlags struct{ json, fresh bool }

func (f benchFlags) run(cmd *cobra.Command, file string) error {
	spec, err := configs.LoadMatrix(file)
	if err != nil {
		return err
	}
	m := &matrix{Matrix: spec, dir: filepath.Join(runsDir(cmd), "bench", spec.Name), runs: runsDir(cmd), fresh: f.fresh, out: newConsole(cmd.OutOrStdout())}
	if f.json {
		m.out = newConsole(cmd.ErrOrStderr())
	}
	again := "skein bench " + file
	if m.runs != defaultRuns {
		again += " --runs " + m.runs
	}
	outcomes, err := m.run(cmd.Context())
	if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
		return interrupted{again}
	}
	if err != nil {
		return err
	}
	r, err := report.New(m.Name, m.Baseline, outcomes)
	if err != nil {
		return err
	}
	r.Expect, r.Commands = m.Expect, []string{again}
	return publishReport(cmd, r, m.dir, outcomes, f.json)
}

// publishReport writes bench.json and the report into a folder and shows the table.
func publishReport(cmd *cobra.Command, r *report.Report, dir string, outcomes []bench.Outcome, asJSON bool) error {
	b, err := json.MarshalIndent(outcomes, "", "  ")
	if err != nil {
		return err
	}
	paths, err := r.Write(dir)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "bench.json"), append(b, '\n')); err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd, outcomes)
	}
	w := cmd.OutOrStdout()
	if err := r.Print(w); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s\n%s, bench.json and %d pictures as PNG and SVG beside it\n", paths[0], filepath.Base(paths[1]), (len(paths)-2)/2)
	return err
}

// benchProgress says how far a bench is, and when it will be done.
type benchProgress struct {
	out   *console
	start time.Time
	all   int // runs to train
	done  int
	job   job
}

func (p *benchProgress) begin(j job) {
	p.job = j
	p.step(0)
}

// step is called as a run advances; part is how much of it is done.
func (p *benchProgress) step(part float64) {
	left := ""
	if done := float64(p.done) + part; done > 0.02 {
		left = ", " + clock(time.Duration(float64(time.Since(p.start))*(float64(p.all)/done-1))) + " left"
	}
	p.out.update("run %d of %d%s: %s, seed %d, %.0f %%", p.done+1, p.all, left, p.job.cell.Label, p.job.seed, 100*part)
}

func (p *benchProgress) end(o bench.Outcome) {
	p.done++
	result := fmt.Sprintf("loss %.4f", o.ValLoss)
	if o.Error != "" {
		result = "failed: " + o.Error
	}
	p.out.line("run %*d/%d  %s, seed %d: %s, %s", len(fmt.Sprint(p.all)), p.done, p.all, o.Cell, o.Seed, result, clock(time.Duration(o.Seconds*float64(time.Second))))
}

// cores to train on; a worker takes one.
func benchCores(workers int) int { return cmp.Or(min(runtime.NumCPU(), workers), 1) }
