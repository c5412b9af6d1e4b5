package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/bench"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
)

// matrix is a bench file under way.
type matrix struct {
	configs.Matrix
	dir  string // where the outcomes go
	runs string // where token shards are kept
	out  *console
}

// outcome is where one run's outcome lies.
func (m *matrix) outcome(cell configs.Cell, seed uint64) string {
	return filepath.Join(m.dir, "cells", fmt.Sprintf("%s-%d.json", fileName(cell.Label), seed))
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
func (m *matrix) run(ctx context.Context) ([]bench.Outcome, error) {
	type job struct {
		cell   configs.Cell
		seed   uint64
		config configs.Config
	}
	var jobs []job
	var outcomes []bench.Outcome
	for _, cell := range m.Cells() {
		for _, seed := range m.Seeds {
			c, err := configs.Load(m.Base, slices.Concat(cell.Overrides, []string{fmt.Sprint("seed=", seed)}))
			if err != nil {
				return nil, fmt.Errorf("cell %q: %w", cell.Label, err)
			}
			c.Train.Threads = 1
			jobs = append(jobs, job{cell, seed, c})
		}
	}
	start, done := time.Now(), 0
	for i, j := range jobs {
		path := m.outcome(j.cell, j.seed)
		o, err := readOutcome(path)
		if errors.Is(err, os.ErrNotExist) {
			left := ""
			if done > 0 {
				left = ", " + (time.Since(start) / time.Duration(done) * time.Duration(len(jobs)-i)).Round(time.Second).String() + " left"
			}
			m.out.update("run %d of %d%s: %s, seed %d", i+1, len(jobs), left, j.cell.Label, j.seed)
			if o, err = m.train(ctx, j.cell, j.seed, j.config); err == nil {
				err = writeOutcome(path, o)
			}
			done++
		}
		if err != nil {
			m.out.update("")
			return nil, fmt.Errorf("cell %q, seed %d: %w", j.cell.Label, j.seed, err)
		}
		if o.Roads, err = m.roads(j.config, o); err != nil {
			return nil, err
		}
		outcomes = append(outcomes, o)
	}
	m.out.update("")
	return outcomes, nil
}

func readOutcome(path string) (o bench.Outcome, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(b, &o)
}

func writeOutcome(path string, o bench.Outcome) error {
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'))
}

// train simulates one run, with real training.
func (m *matrix) train(ctx context.Context, cell configs.Cell, seed uint64, c configs.Config) (o bench.Outcome, err error) {
	made, err := prepareCorpus(ctx, c, m.runs, m.out)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, made.close()) }()
	s := &sampled{cfg: c, corpus: made, Outcome: bench.Outcome{
		Cell: cell.Label, Seed: seed, Method: c.Outer.Method, Codec: c.Sync.Codec, Workers: c.Swarm.LocalWorkers, Every: uint64(c.Sync.Every), Steps: uint64(c.Train.Steps),
	}}
	defer s.close()
	began := time.Now()
	if err := s.simulate(ctx, m.Step); err != nil {
		return o, err
	}
	s.Seconds = time.Since(began).Seconds()
	if s.ValLoss, err = s.evaluate(ctx, m.Eval); err != nil {
		return o, err
	}
	return s.Outcome, nil
}

// sampled is one simulated run and what is noted of it.
type sampled struct {
	bench.Outcome
	cfg      configs.Config
	corpus   *corpus
	parts    parts
	replicas []*replica
	last     gradients.Vec // the parameters at the end
}

func (s *sampled) close() {
	for _, r := range s.replicas {
		r.close()
	}
}

// simulate trains to the end.
func (s *sampled) simulate(ctx context.Context, step time.Duration) (err error) {
	if s.parts, err = partsOf(s.cfg); err != nil {
		return err
	}
	for range s.Workers {
		r, err := newReplica(s.cfg, s.corpus.data)
		if err != nil {
			return err
		}
		s.replicas = append(s.replicas, r)
	}
	terms := terms(s.cfg)
	terms.Parameters, terms.LayoutHash = uint64(s.parts.layout.Len()), aggregator.LayoutHash(s.parts.layout)
	terms.DataHash, terms.Sequences = s.corpus.manifest.Hash(), s.corpus.data.Windows()
	s.Params = s.parts.layout.Len()
	result, err := bench.Simulate(ctx, bench.Options{
		Manifest: terms, Method: s.parts.method, Layout: s.parts.layout, Assign: shards.Assign, Cores: runtime.NumCPU(),
		Hosts:   slices.Repeat([]bench.Host{{Step: step}}, s.Workers),
		Replica: func(i int) (aggregator.Replica, error) { return s.replicas[i], nil },
		Landed:  s.landed,
	})
	if err != nil {
		return err
	}
	s.Root, s.Payload = result.Root.String(), slices.Max(result.Payload)
	s.Tokens = s.Steps * uint64(s.cfg.Train.BatchSize*s.cfg.Data.SeqLen)
	if s.cfg.Sync.MaxStaleness == 0 { // an asynchronous run counts the steps of all workers together
		s.Tokens *= uint64(s.Workers)
	}
	return nil
}

// landed notes what worker 0 sees.
func (s *sampled) landed(ctx context.Context, worker int, _ time.Duration, l aggregator.Landing) error {
	if worker != 0 {
		return nil
	}
	anchor := l.Worker.State().Anchor
	p := bench.Point{Round: uint64(l.Certificate.Seq), Step: l.Step, Tokens: l.Step * uint64(s.cfg.Train.BatchSize*s.cfg.Data.SeqLen*s.Workers), Loss: float64(l.Tally.Mean())}
	if every := uint64(s.cfg.Eval.Every); every > 0 && p.Round%every == 0 {
		if n := min(s.corpus.data.Validations(), s.cfg.Eval.Batches*s.cfg.Train.MicroBatchSize); n > 0 {
			loss, err := s.replicas[0].Evaluate(ctx, anchor, 0, n)
			if err != nil {
				return err
			}
			p.Val = &loss
		}
	}
	for i := range l.Certificate.List {
		if e := &l.Certificate.List[i]; e.Slot == 0 {
			p.Payload = int64(e.Size)
		}
	}
	if n := len(s.Points); n > 0 {
		p.Payload += s.Points[n-1].Payload
	}
	s.Points = append(s.Points, p)
	if len(l.Certificate.List) > 1 {
		c, err := s.parts.cosine(ctx, l.Worker.Exchange, l.Certificate)
		if err != nil {
			return err
		}
		s.Cosine = append(s.Cosine, c)
	}
	s.last = append(s.last[:0], anchor...)
	return nil
}

// evaluate is the loss of the final parameters on so many batches of the validation split, or on all of it.
func (s *sampled) evaluate(ctx context.Context, batches int) (float64, error) {
	n := s.corpus.data.Validations()
	if batches > 0 {
		n = min(n, batches*s.cfg.Train.MicroBatchSize)
	}
	if n == 0 {
		return 0, errors.New("there is no validation split: set data.val_fraction")
	}
	loss, err := s.replicas[0].Evaluate(ctx, s.last, 0, n)
	if err == nil && math.IsNaN(loss) {
		err = errors.New("the validation loss is no number: the run has diverged")
	}
	return loss, err
}

// roads works out what the run takes at each bandwidth, from the sizes of what was sent.
func (m *matrix) roads(c configs.Config, o bench.Outcome) ([]bench.Road, error) {
	var out []bench.Road
	schedule := scheduleOf(c)
	for _, b := range m.Bandwidths {
		d := bench.Dry{
			Schedule: schedule, Topology: c.Sync.Topology, Payload: int(o.Payload / int64(max(1, schedule.Rounds()))), Header: aggregator.SignedHeaderSize, Certificate: 300,
			Hosts: slices.Repeat([]bench.Host{{Up: b, Down: b, Latency: m.Latency / 2, Step: m.Step}}, o.Workers), Seat: bench.Host{Latency: m.Latency / 2},
		}
		r, err := d.Run()
		if err != nil {
			return nil, err
		}
		out = append(out, bench.Road{Bandwidth: b, Time: r.Time, Utilisation: r.Utilisation(), Sent: slices.Max(r.Sent)})
	}
	return out, nil
}

// runBenchMatrix is `skein bench FILE`.
func runBenchMatrix(cmd *cobra.Command, file string, asJSON bool) error {
	spec, err := configs.LoadMatrix(file)
	if err != nil {
		return err
	}
	m := &matrix{Matrix: spec, dir: filepath.Join(runsDir(cmd), "bench", spec.Name), runs: runsDir(cmd), out: newConsole(cmd.OutOrStdout())}
	if asJSON {
		m.out = newConsole(cmd.ErrOrStderr())
	}
	if err := os.MkdirAll(filepath.Join(m.dir, "cells"), 0o755); err != nil {
		return err
	}
	outcomes, err := m.run(cmd.Context())
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(outcomes, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(m.dir, "bench.json"), append(b, '\n'))
	}
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd, outcomes)
	}
	return m.tell(cmd.OutOrStdout(), outcomes)
}

// tell prints one line a run.
func (m *matrix) tell(w io.Writer, outcomes []bench.Outcome) error {
	for _, o := range outcomes {
		fmt.Fprintf(w, "%-28s seed %-6d val %.4f  %8.4f bit/param/step  sent %s", o.Cell, o.Seed, o.ValLoss, o.BitsPerStep(), humanize.Bytes(uint64(o.Payload)))
		for _, r := range o.Roads {
			fmt.Fprintf(w, "  %s %v (%.0f %%)", humanize.SI(r.Bandwidth, "bit/s"), r.Time.Round(100*time.Millisecond), 100*r.Utilisation)
		}
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintf(w, "%s\n", filepath.Join(m.dir, "bench.json"))
	return err
}
