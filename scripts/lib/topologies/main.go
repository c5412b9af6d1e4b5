// Command topologies rehearses one run among ever more workers, once with everybody reading everybody's contributions and once in pairs, and
// prints what a worker sends and how long a round takes. scripts/topologies runs it.
//
//	go run ./scripts/lib/topologies [-most 1024] [-rounds 100] [-svg FILE]
package main

import (
	"flag"
	"fmt"
	"image/color"
	"log"
	"math"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/bench"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The run: NoLoCo with 1G parameters, whose contributions are two vectors in bf16, every 50 steps of 2 s; links of 1 Gbit/s each way, 40 ms of latency.
const (
	payload = 4_000_000_000 // bytes
	every   = 50
	step    = 2 * time.Second
	rate    = 1e9 // bit/s
	latency = 40 * time.Millisecond
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("topologies: ")
	most := flag.Int("most", 1024, "workers")
	rounds := flag.Uint64("rounds", 100, "of the run, the last one for everybody")
	svg := flag.String("svg", "", "picture to write")
	flag.Parse()
	topologies := []aggregator.Topology{aggregator.All, aggregator.Pair}
	lines := map[aggregator.Topology]plotter.XYs{}
	fmt.Println("| workers | a round, `all` | a round, `pair` | the last round, both | the run, `all` | the run, `pair` | time computing, `all` | `pair` |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for n := 4; n <= *most; n *= 2 {
		var perRound, whole []int64
		var busy []float64
		last := rehearse(aggregator.Pair, n, 1)
		for _, topology := range topologies {
			r := rehearse(topology, n, *rounds)
			round := (slices.Max(r.Sent) - slices.Max(last.Sent)) / int64(*rounds-1)
			perRound, whole = append(perRound, round), append(whole, slices.Max(r.Sent))
			busy = append(busy, r.Utilisation())
			lines[topology] = append(lines[topology], plotter.XY{X: float64(n), Y: float64(round)})
		}
		fmt.Printf("| %d | %s | %s | %s | %s | %s | %.1f %% | %.1f %% |\n", n, bytes(perRound[0]), bytes(perRound[1]), bytes(slices.Max(last.Sent)),
			bytes(whole[0]), bytes(whole[1]), 100*busy[0], 100*busy[1])
	}
	if *svg != "" {
		if err := picture(*svg, topologies, lines); err != nil {
			log.Fatal(err)
		}
	}
}

func bytes(n int64) string { return humanize.SIWithDigits(float64(n), 2, "B") }

// rehearse is a dry run of so many rounds.
func rehearse(topology aggregator.Topology, n int, rounds uint64) *bench.Result {
	host := bench.Host{Up: rate, Down: rate, Latency: latency / 2, Step: step}
	r, err := bench.Dry{
		Schedule: aggregator.Schedule{Every: every, Fragments: 1, Steps: every * rounds}, Hosts: slices.Repeat([]bench.Host{host}, n), Seat: bench.Host{Latency: latency / 2},
		Topology: topology, Payload: payload, Header: aggregator.SignedHeaderSize, Certificate: 300,
	}.Run()
	if err != nil {
		log.Fatal(err)
	}
	return r
}

// picture plots bytes over workers, both on logarithmic axes.
func picture(path string, topologies []aggregator.Topology, lines map[aggregator.Topology]plotter.XYs) error {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "workers", "sent in a round"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	colours := []color.Color{color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x72, 0xb2, 0xff}}
	var x, y plot.ConstantTicks
	for _, at := range lines[topologies[0]] {
		x = append(x, plot.Tick{Value: at.X, Label: fmt.Sprint(at.X)})
	}
	for v := math.Pow(10, math.Floor(math.Log10(payload))); v <= payload*1e4; v *= 10 {
		y = append(y, plot.Tick{Value: v, Label: bytes(int64(v))})
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = x, y
	p.Y.Min, p.Y.Max = y[0].Value, y[len(y)-1].Value
	p.Add(plotter.NewGrid())
	for i, t := range topologies {
		line, points, err := plotter.NewLinePoints(lines[t])
		if err != nil {
			return err
		}
		names, err := plotter.NewLabels(plotter.XYLabels{XYs: lines[t][:1], Labels: []string{string(t)}})
		if err != nil {
			return err
		}
		names.Offset.Y, names.TextStyle[0].Color = vg.Points(8), colours[i]
		line.Color, line.Width, points.Color, points.Shape = colours[i], vg.Points(1.5), colours[i], draw.CircleGlyph{}
		names.TextStyle[0].Font = sans(11)
		p.Add(line, points, names)
	}
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans(10), sans(9)
	}
	return p.Save(16*vg.Centimeter, 9*vg.Centimeter, path)
}

func sans(points float64) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, vg.Points(points))
}
