package cli

import (
	"fmt"
	"image/color"
	"math"

	"github.com/dustin/go-humanize"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// linkShades tell codecs apart, also without colours by their dashes.
var linkShades = [...]color.RGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {90, 90, 90, 255}}

// plot draws utilisation over bandwidth, by powers of ten, one curve a codec, into a file, whose name says in which format.
func (r *linkResult) plot(file string) error {
	p := plot.New()
	p.Title.Text = r.title()
	p.X.Label.Text, p.Y.Label.Text = "bandwidth of a worker's link, each way", "part of the time that workers compute, %"
	low, high := r.span()
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, bitRates{decades{upTo: high}}
	p.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 20, Label: "20"}, {Value: 40, Label: "40"}, {Value: 60, Label: "60"}, {Value: 80, Label: "80"},
		{Value: 90, Label: "90"}, {Value: 95, Label: "95"}, {Value: 100, Label: "100"}}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = low, high, 0, 100
	for _, f := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font} {
		*f = sans(10)
	}
	p.Title.Padding, p.X.Padding, p.Y.Padding, p.Legend.Padding = vg.Points(8), vg.Points(4), vg.Points(4), vg.Points(2)
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(-8), vg.Points(8)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{Y: 230}, color.Gray{Y: 230}
	p.Add(grid)
	for i, c := range r.Codecs {
		line, err := plotter.NewLine(c.curve(low, high))
		if err != nil {
			return fmt.Errorf("draw utilisation: %w", err)
		}
		line.Color, line.Width = linkShades[i%len(linkShades)], vg.Points(1.8)
		if i > 0 {
			line.Dashes = []vg.Length{vg.Points(float64(12 - 2*(i%5))), vg.Points(3)}
		}
		p.Add(line)
		p.Legend.Add(c.Codec, line)
	}
	if err := p.Save(22*vg.Centimeter, 12*vg.Centimeter, file); err != nil {
		return fmt.Errorf("draw utilisation: %w", err)
	}
	return nil
}

// span are the powers of ten, in bit/s, between which some codec leaves 1 to 99 % of the time, or as near as the latency lets it come.
func (r *linkResult) span() (low, high float64) {
	low, high = math.Inf(1), 0
	for _, c := range r.Codecs {
		best := c.line.Utilisation(1e18)
		low, high = min(low, c.line.Bandwidth(.01*best)), max(high, c.line.Bandwidth(.99*best))
	}
	return math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
}

func (c *linkCodec) curve(low, high float64) (points plotter.XYs) {
	const steps = 400
	for i := range steps + 1 {
		x := low * math.Pow(high/low, float64(i)/steps)
		points = append(points, plotter.XY{X: x, Y: 100 * c.line.Utilisation(x)})
	}
	return points
}

// bitRates labels powers of ten as bandwidths.
type bitRates struct{ decades }

// Ticks implements plot.Ticker.
func (b bitRates) Ticks(lo, hi float64) []plot.Tick {
	ticks := b.decades.Ticks(lo, hi)
	for i, t := range ticks {
		if t.Label != "" {
			ticks[i].Label = humanize.SI(t.Value, "bit/s")
		}
	}
	return ticks
}
