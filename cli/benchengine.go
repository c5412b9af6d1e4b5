package cli

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/internal/usage"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/peak"
)

type benchEngineFlags struct {
	steps, threads int
	json           bool
	plot           string
}

func newBenchEngineCommand() *cobra.Command {
	var f benchEngineFlags
	cmd := &cobra.Command{
		Use:   "engine [FILE] [KEY=VALUE …]",
		Short: "time the inner steps of one worker, op by op, against the machine's measured peak",
		Long: "engine takes inner steps of one worker on made-up tokens and says what limits them: tokens and floating-point operations a second,\n" +
			"the time of every kind of op, and how near it comes to the roof over it, which is the lower of the machine's peak arithmetic and what\n" +
			"its memory can bring. FILE is a run file; without one the model is that of configs/tiny.yaml.",
		Example: "  skein bench engine\n  skein bench engine configs/models/10m.yaml train.batch_size=4 train.micro_batch_size=4 --threads 2 --plot roofline.svg",
		RunE:    f.run,
	}
	flags := cmd.Flags()
	flags.IntVar(&f.steps, "steps", 10, "inner steps to time")
	flags.IntVar(&f.threads, "threads", 0, "threads; 0 takes train.threads, or all cores")
	flags.BoolVar(&f.json, "json", false, "print the measurement as JSON on standard output; progress goes to standard error")
	flags.StringVar(&f.plot, "plot", "", "file to draw the roofline in, .svg or .png")
	return cmd
}

func (f *benchEngineFlags) run(cmd *cobra.Command, args []string) error {
	if f.steps < 1 || f.threads < 0 {
		return fmt.Errorf("--steps %d must be at least 1, --threads %d not negative", f.steps, f.threads)
	}
	if ext := filepath.Ext(f.plot); f.plot != "" && ext != ".svg" && ext != ".png" {
		return fmt.Errorf("--plot %s: want a name that ends in .svg or .png", f.plot)
	}
	c, err := benchConfig(args)
	if err != nil {
		return err
	}
	c.Swarm.LocalWorkers = 1
	c.Train.Threads = cmp.Or(f.threads, c.Train.Threads, runtime.NumCPU())
	out := newConsole(cmd.OutOrStdout())
	if f.json {
		out = newConsole(cmd.ErrOrStderr())
	}
	m, err := measureEngine(cmd.Context(), c, f.steps, out)
	out.update("")
	if err != nil {
		return err
	}
	if f.plot != "" {
		if err := m.plot(f.plot); err != nil {
			return err
		}
	}
	if f.json {
		return printJSON(cmd, m)
	}
	m.tell(out)
	return nil
}

// benchConfig reads FILE, if there is one, and the overrides.
func benchConfig(args []string) (configs.Config, error) {
	if len(args) == 0 || strings.Contains(args[0], "=") {
		return configs.Defaults(args)
	}
	return configs.Load(args[0], args[1:])
}

// measurement is what `skein bench engine` found.
type measurement struct {
	Engine         string        `json:"engine"`
	Threads        int           `json:"threads"`
	Parameters     int           `json:"parameters"`
	BatchSize      int           `json:"batch_size"`
	MicroBatchSize int           `json:"micro_batch_size"`
	SeqLen         int           `json:"seq_len"`
	Steps          int           `json:"steps"`
	TokensPerS     rates         `json:"tokens_per_s"`
	FLOPS          rates         `json:"flops"`       // a second, of which FLOPs counts for each token
	OfPeak         float64       `json:"of_peak"`     // median by the clock, as a part of what the machine does at most
	StepS          float64       `json:"step_s"`      // median
	Captured       float64       `json:"captured"`    // part of the steps in which a GPU replays what it has taken down; 0 on engines that take nothing down
	AllocatedBytes uint64        `json:"alloc_bytes"` // a step
	Allocations    uint64        `json:"allocations"` // a step
	PeakMemory     uint64        `json:"peak_memory"` // bytes resident; 0 if the system does not say
	Peaks          []peak.Peak   `json:"peaks"`       // of the machine: with as many threads, and with one
	Parts          []part        `json:"parts"`       // of a step, the longest first
	Rest           time.Duration `json:"rest_ns"`     // of a step, outside of all parts: median
}

// rates are per second, by the clock and by the processor time of all threads.
type rates struct {
	Median    float64 `json:"median"`
	Best      float64 `json:"best"`
	CPUMedian float64 `json:"cpu_median"` // 0 if the system does not say
	CPUBest   float64 `json:"cpu_best"`
}

func (r rates) times(x float64) rates {
	return rates{r.Median * x, r.Best * x, r.CPUMedian * x, r.CPUBest * x}
}

// part is one kind of op, all of a step together.
type part struct {
	Op        string        `json:"op"`
	Calls     int           `json:"calls"`
	Time      time.Duration `json:"time_ns"`    // median over the steps
	Share     float64       `json:"share"`      // of the step
	FLOPs     int64         `json:"flops"`      // in all calls
	Bytes     int64         `json:"bytes"`      // the least that all calls have to move
	OfRoof    float64       `json:"of_roof"`    // speed, as a part of the lower of the two roofs
	ByTraffic bool          `json:"by_traffic"` // that roof is the memory's
}

func (p part) flops() float64     { return float64(p.FLOPs) / p.Time.Seconds() }
func (p part) bandwidth() float64 { return float64(p.Bytes) / p.Time.Seconds() }
func (p part) intensity() float64 { return float64(p.FLOPs) / float64(max(1, p.Bytes)) }

// measureEngine times the steps, then the machine.
func measureEngine(ctx context.Context, c configs.Config, steps int, out *console) (*measurement, error) {
	vocab := vocabOf(c)
	r, err := newReplica(c, 0, noise{modelOf(c, vocab).VocabSize, c.Data.SeqLen})
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.Replica.Begin(shards.Seat{Count: 1 << 62}); err != nil {
		return nil, err
	}
	m := &measurement{Engine: r.Engine(), Threads: c.Train.Threads, Parameters: r.Len(), BatchSize: c.Train.BatchSize,
		MicroBatchSize: c.Train.MicroBatchSize, SeqLen: c.Data.SeqLen, Steps: steps}
	parts, err := timeSteps(ctx, r.Replica, steps, true, out)
	if err != nil {
		return nil, err
	}
	t := parts
	if _, queues := r.engine.(engine.Waiter); queues { // to watch it is to slow it down
		if t, err = timeSteps(ctx, r.Replica, steps, false, out); err != nil {
			return nil, err
		}
	}
	m.PeakMemory = usage.PeakMemory()
	tokens := c.Train.BatchSize * c.Data.SeqLen
	m.TokensPerS = t.rates(float64(tokens))
	m.FLOPS = m.TokensPerS.times(float64(trainer.FLOPs(modelOf(c, vocab), c.Data.SeqLen)))
	m.Allocations, m.AllocatedBytes = t.allocations/uint64(steps), t.allocated/uint64(steps)
	m.StepS, m.Captured = median(t.wall), t.captured()
	m.Parts, m.Rest = parts.parts(median(parts.wall))
	if m.Peaks, err = peaksOf(ctx, c, out); err != nil {
		return nil, err
	}
	m.hold()
	return m, nil
}

// peaksOf measures the machine with the run's threads, and with one.
func peaksOf(ctx context.Context, c configs.Config, out *console) (found []peak.Peak, err error) {
	for _, threads := range slices.Compact([]int{c.Train.Threads, 1}) {
		out.update("measuring the machine's peak with %s", count(threads, "thread"))
		c.Train.Threads = threads
		e, err := engineOf(c, 0)
		if err != nil {
			return nil, err
		}
		p, err := peak.Measure(ctx, e, threads, peak.Caches())
		if err := cmp.Or(err, e.Close()); err != nil {
			return nil, err
		}
		found = append(found, p)
		all := &found[0] // what one thread can do, all can do
		all.FLOPS, all.Bandwidth = max(all.FLOPS, p.FLOPS), max(all.Bandwidth, p.Bandwidth)
	}
	return found, nil
}

// hold compares the parts with the machine.
func (m *measurement) hold() {
	machine := m.Peaks[0]
	m.OfPeak = m.FLOPS.Median / machine.FLOPS
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.Bytes == 0 || p.Time == 0 {
			continue
		}
		arithmetic, traffic := float64(p.FLOPs)/machine.FLOPS, float64(p.Bytes)/machine.Bandwidth // seconds at least
		p.OfRoof, p.ByTraffic = max(arithmetic, traffic)/p.Time.Seconds(), traffic > arithmetic
	}
}

// tell prints the measurement.
func (m *measurement) tell(out *console) {
	const giga = 1e9
	out.line("engine   %s", m.Engine)
	out.line("step     %s parameters, %d sequences of %d tokens, in micro-batches of %d; %s timed", humanize.Comma(int64(m.Parameters)), m.BatchSize, m.SeqLen, m.MicroBatchSize, count(m.Steps, "step"))
	for i, p := range m.Peaks {
		label := "machine"
		if i > 0 {
			label = ""
		}
		out.line("%-8s %.0f GFLOP/s and %.1f GB/s at most with %s", label, p.FLOPS/giga, p.Bandwidth/giga, count(p.Threads, "thread"))
	}
	out.line("speed    %s tokens/s, best %s; per CPU-second %s, best %s", kilo(m.TokensPerS.Median), kilo(m.TokensPerS.Best), kilo(m.TokensPerS.CPUMedian), kilo(m.TokensPerS.CPUBest))
	out.line("         %.1f GFLOP/s, %.0f %% of the machine's peak; best %.1f", m.FLOPS.Median/giga, 100*m.OfPeak, m.FLOPS.Best/giga)
	if alone := m.Peaks[len(m.Peaks)-1]; m.FLOPS.CPUMedian > 0 {
		out.line("         %.1f GFLOP per CPU-second, %.0f %% of one thread's peak", m.FLOPS.CPUMedian/giga, 100*m.FLOPS.CPUMedian/alone.FLOPS)
	}
	if m.Captured > 0 {
		out.line("         %.1f %% of a step inside of captured graphs", 100*m.Captured)
	}
	out.line("memory   %s at the peak; %s allocations of %s together in a step", humanize.IBytes(m.PeakMemory), humanize.Comma(int64(m.Allocations)), humanize.IBytes(m.AllocatedBytes))
	out.line("")
	out.line("%-16s %6s %9s %7s %9s %8s %8s  %s", "op", "calls", "ms/step", "share", "GFLOP/s", "GB/s", "FLOP/B", "of its roof")
	for _, p := range m.Parts {
		roof := ""
		if p.OfRoof > 0 {
			roof = fmt.Sprintf("%3.0f %% of arithmetic", 100*p.OfRoof)
			if p.ByTraffic {
				roof = fmt.Sprintf("%3.0f %% of memory", 100*p.OfRoof)
			}
		}
		out.line("%-16s %6d %9.2f %5.1f %% %9.1f %8.1f %8.1f  %s", p.Op, p.Calls, p.Time.Seconds()*1e3, 100*p.Share, p.flops()/giga, p.bandwidth()/giga, p.intensity(), roof)
	}
	out.line("%-16s %6s %9.2f %5.1f %%", "the rest", "", m.Rest.Seconds()*1e3, 100*m.Rest.Seconds()/m.StepS)
	out.line("")
	out.line("Bytes are the least that an op has to move: above 100 %% of memory, some of them came out of a cache.")
}

func kilo(x float64) string {
	if x < 1000 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.1fk", x/1e3)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// noise is a Source of made-up tokens, the same at every call.
type noise struct{ vocab, seqLen int }

func (n noise) Sequence(dst []int32, position uint64) error {
	r := rand.New(rand.NewPCG(position, 1))
	for i := range dst {
		dst[i] = int32(r.IntN(n.vocab))
	}
	return nil
}
func (n noise) Validation(dst []int32, index int) error { return n.Sequence(dst, uint64(index)) }
func (n noise) Validations() int                        { return 0 }
func (n noise) Vocab() int                              { return n.vocab }
func (n noise) SeqLen() int                             { return n.seqLen }
