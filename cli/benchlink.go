package cli

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/bench"
	"github.com/skein-train/skein/gradients"
)

type benchLinkFlags struct {
	bench.Link
	codecs, bandwidths []string
	utilisations       []float64
	plot               string
	json               bool
}

func newBenchLinkCommand() *cobra.Command {
	var f benchLinkFlags
	cmd := &cobra.Command{
		Use:   "link",
		Short: "work out how much of the time workers compute at a bandwidth, and the bandwidth for a part of the time",
		Long: "link works out, from a model's size, the time of a step and the way of exchange, which part of the time workers compute when their links\n" +
			"carry a given bandwidth each way, and the least bandwidth for given parts. Nothing is trained; what a codec sends of a parameter is found by encoding\n" +
			"Gaussian numbers once. docs/results/utilisation.md has the formula.",
		Example: "  skein bench link --params 1e9 --step-time 2s --every 30 --codec int8,topk:64/4096+2bit --workers 16\n" +
			"  skein bench link --params 1e9 --step-time 100ms --every 100 --fragments 8 --delay 1 --layers 24 --codec e3m0 --workers 2 --topology ring --plot link.svg",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.Float64Var(&f.Parameters, "params", 1e9, "parameters of the model")
	flags.DurationVar(&f.Step, "step-time", time.Second, "time of an inner step without any exchange")
	flags.IntVar(&f.Every, "every", 30, "inner steps between exchanges; 1 is data parallel training")
	flags.IntVar(&f.Fragments, "fragments", 1, "parts of the model that are exchanged one after the other")
	flags.IntVar(&f.Delay, "delay", 0, "inner steps that an exchange may take while training goes on; 0: workers wait for it")
	flags.StringSliceVar(&f.codecs, "codec", []string{"int8"}, "codecs, as sync.codec takes them, to compare")
	flags.IntVar(&f.Workers, "workers", 8, "workers")
	flags.StringVar(&f.Topology, "topology", "all", "who gets what a worker sends: all, pair (one other), hub (an aggregator, and its sum comes back), ring (all-reduce)")
	flags.DurationVar(&f.Latency, "latency", 0, "time that a message is under way besides")
	flags.IntVar(&f.Layers, "layers", 0, "layers, if each is to be sent as soon as its gradient is there and waited for where it is needed; 0: whole fragments, between steps")
	flags.StringSliceVar(&f.bandwidths, "bandwidth", []string{"10Mbit/s", "100Mbit/s", "1Gbit/s", "10Gbit/s"}, "bandwidths of a link, each way")
	flags.Float64SliceVar(&f.utilisations, "utilisation", []float64{.5, .8, .9, .95, .99}, "parts of the time, above 0 to 1, to find the bandwidth for")
	flags.StringVar(&f.plot, "plot", "", "file to draw utilisation over bandwidth in, .svg or .png")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
	return cmd
}

// linkResult is what `skein bench link` worked out.
type linkResult struct {
	bench.Link
	Codecs []linkCodec `json:"codecs"`
}

// linkCodec is a codec on the link.
type linkCodec struct {
	Codec        string      `json:"codec"`
	BitsPerParam float64     `json:"bits_per_param"`
	At           []linkPoint `json:"at"`  // the bandwidths asked for
	For          []linkPoint `json:"for"` // the utilisations asked for

	line *bench.Timeline
}

// linkPoint is a bandwidth and the utilisation there.
type linkPoint struct {
	Bandwidth   *float64 `json:"bandwidth"` // bit/s each way; nil: none is enough, for the latency alone takes too long
	Utilisation float64  `json:"utilisation"`
}

func (f *benchLinkFlags) run(cmd *cobra.Command) error {
	if ext := filepath.Ext(f.plot); f.plot != "" && ext != ".svg" && ext != ".png" {
		return fmt.Errorf("--plot %s: want a name that ends in .svg or .png", f.plot)
	}
	for _, u := range f.utilisations {
		if !(u > 0 && u <= 1) {
			return fmt.Errorf("--utilisation %g: want parts of the time, above 0 to 1", u)
		}
	}
	var rates []float64
	for _, text := range f.bandwidths {
		rate, err := parseBandwidth(text)
		if err != nil {
			return fmt.Errorf("--bandwidth: %w", err)
		}
		rates = append(rates, rate)
	}
	r := linkResult{Link: f.Link}
	for _, name := range f.codecs {
		c, err := linkOf(f.Link, name, rates, f.utilisations)
		if err != nil {
			return err
		}
		r.Codecs = append(r.Codecs, c)
	}
	if f.plot != "" {
		if err := r.plot(f.plot); err != nil {
			return err
		}
	}
	if f.json {
		return printJSON(cmd, r)
	}
	r.tell(newConsole(cmd.OutOrStdout()))
	return nil
}

// linkOf puts one codec on the link.
func linkOf(l bench.Link, codec string, rates, utilisations []float64) (c linkCodec, err error) {
	l.Bits = 1 // until it is known: what else is wrong comes first
	if _, err := l.Timeline(); err != nil {
		return c, err
	}
	if l.Bits, err = bitsOf(codec, l.Parameters); err != nil {
		return c, err
	}
	c.Codec, c.BitsPerParam = codec, l.Bits
	if c.line, err = l.Timeline(); err != nil {
		return c, err
	}
	for _, rate := range rates {
		c.At = append(c.At, linkPoint{&rate, c.line.Utilisation(rate)})
	}
	for _, u := range utilisations {
		p := linkPoint{Utilisation: u}
		if rate := c.line.Bandwidth(u); !math.IsInf(rate, 1) {
			p.Bandwidth = &rate
		}
		c.For = append(c.For, p)
	}
	return c, nil
}

// bitsOf is what a codec sends of a parameter, header and tables included: of a million Gaussian numbers, or of all if there are fewer.
func bitsOf(codec string, parameters float64) (float64, error) {
	l := benchLayout(int(min(max(parameters, 1), 1<<20)))
	c, err := gradients.New(codec, l, l.Fragments()[0])
	if err != nil {
		return 0, err
	}
	payload := c.Append(nil, gradients.Key{}, gaussian(l.Len()), encoderSlots(c, l.Len()))
	return 8 * float64(len(payload)) / float64(l.Len()), nil
}

// parseBandwidth reads bits per second such as 100Mbit/s. A number without its unit is refused: bits and bytes are too easily confused.
func parseBandwidth(text string) (float64, error) {
	rate, unit, err := humanize.ParseSI(strings.TrimSpace(text))
	if err != nil || unit != "bit/s" || !(rate > 0) || math.IsInf(rate, 1) {
		return 0, fmt.Errorf("%q: want bits per second such as 100Mbit/s or 2.5Gbit/s", text)
	}
	return rate, nil
}

// tell prints the table.
func (r *linkResult) tell(out *console) {
	out.line("%s", r.title())
	out.line("")
	width := len("codec")
	for _, c := range r.Codecs {
		width = max(width, len(c.Codec))
	}
	first := r.Codecs[0]
	head := fmt.Sprintf("%-*s %10s |", width, "codec", "bits/param")
	for _, p := range first.At {
		head += fmt.Sprintf(" %*s", cell(*p.Bandwidth), bandwidth(p.Bandwidth))
	}
	head += " | for"
	for _, p := range first.For {
		head += fmt.Sprintf(" %11s", fmt.Sprintf("%.4g %%", 100*p.Utilisation))
	}
	out.line("%s", head)
	for _, c := range r.Codecs {
		row := fmt.Sprintf("%-*s %10.4f |", width, c.Codec, c.BitsPerParam)
		for _, p := range c.At {
			row += fmt.Sprintf(" %*s", cell(*p.Bandwidth), fmt.Sprintf("%.1f %%", 100*p.Utilisation))
		}
		row += " |    "
		for _, p := range c.For {
			row += fmt.Sprintf(" %11s", bandwidth(p.Bandwidth))
		}
		out.line("%s", row)
	}
}

// cell is the width of a column of utilisations.
func cell(rate float64) int { return max(len("100.0 %"), len(bandwidth(&rate))) }

// bandwidth is a rate with its unit.
func bandwidth(rate *float64) string {
	if rate == nil {
		return "none"
	}
	return threeDigits(*rate) + "bit/s"
}

// threeDigits is a number with its SI prefix: 1.06 G, 38.4 M, 150 k.
func threeDigits(x float64) string {
	v, prefix := humanize.ComputeSI(x)
	digits := 2
	for w := v; w >= 10 && digits > 0; w /= 10 {
		digits--
	}
	return fmt.Sprintf("%.*f %s", digits, v, prefix)
}

// title names the settings, but of those that are usually 0 only what is not.
func (r *linkResult) title() string {
	parts := []string{strings.TrimSpace(threeDigits(r.Parameters)) + " parameters", r.Step.String() + " a step", "exchanged every " + count(r.Every, "step")}
	add := func(set bool, format string, args ...any) {
		if set {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(r.Fragments > 1, "in %d fragments", r.Fragments)
	add(r.Delay > 0, "landing %s later", count(r.Delay, "step"))
	add(r.Layers > 0, "layer by layer of %d", r.Layers)
	add(r.Latency > 0, "%v latency", r.Latency)
	add(true, "%d workers", r.Workers)
	add(true, "%s", r.Topology)
	return strings.Join(parts, ", ")
}
