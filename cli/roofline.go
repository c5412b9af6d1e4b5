package cli

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/skein-train/skein/trainer/engine/peak"
)

// roofline is the picture of a measurement: speed over FLOPs a byte, both by powers of ten, under the machine's roof. The
// area of a point is its share of the step's time, and the names stand in a column beside the points, in the order of their heights.
type roofline struct {
	*plot.Plot
	points         []part
	left, right    float64  // FLOPs a byte: where roofs begin and end
	bottom, top    float64  // GFLOP/s
	names, longest float64  // FLOPs a byte: where names begin, and where the picture ends
	ways           []string // in the legend so far
}

const gigaFLOP = 1e9

// plot draws the roofline into a file, whose name says in which format.
func (m *measurement) plot(file string) error {
	r := &roofline{Plot: plot.New()}
	for _, p := range m.Parts {
		if p.FLOPs > 0 && p.Share >= 0.002 { // others could not be seen
			r.points = append(r.points, p)
		}
	}
	slices.SortFunc(r.points, func(a, b part) int { return cmp.Compare(a.flops(), b.flops()) })
	r.frame(m)
	for i, p := range m.Peaks {
		if err := r.roof(p, i > 0); err != nil {
			return fmt.Errorf("draw the roofline: %w", err)
		}
	}
	if err := r.draw(); err != nil {
		return fmt.Errorf("draw the roofline: %w", err)
	}
	if err := r.Save(24*vg.Centimeter, 14*vg.Centimeter, file); err != nil {
		return fmt.Errorf("draw the roofline: %w", err)
	}
	return nil
}

// frame chooses the ranges, by whole powers of ten, and labels the axes.
func (r *roofline) frame(m *measurement) {
	machine := m.Peaks[0]
	ridge := machine.FLOPS / machine.Bandwidth
	r.left, r.right = ridge/10, ridge*10
	r.bottom, r.top = machine.FLOPS/gigaFLOP/100, machine.FLOPS/gigaFLOP*2
	for _, p := range r.points {
		r.left, r.right = min(r.left, p.intensity()/2), max(r.right, p.intensity()*2)
		r.bottom, r.top = min(r.bottom, p.flops()/gigaFLOP/2), max(r.top, p.flops()/gigaFLOP*2)
	}
	r.names = r.right * math.Pow(r.right/r.left, 0.06)
	r.longest = r.right * math.Pow(r.right/r.left, 0.45)
	r.Title.Text = fmt.Sprintf("%s\n%s tokens/s, %.0f %% of the machine's peak", m.Engine, kilo(m.TokensPerS.Median), 100*m.OfPeak)
	r.X.Label.Text, r.Y.Label.Text = "FLOPs for each byte that has to be moved", "GFLOP/s"
	r.X.Scale, r.Y.Scale = plot.LogScale{}, plot.LogScale{}
	r.X.Min, r.X.Max, r.Y.Min, r.Y.Max = r.left, r.longest, r.bottom, r.top
	r.X.Tick.Marker, r.Y.Tick.Marker = decades{upTo: r.right}, decades{upTo: r.top}
	for _, f := range []*font.Font{&r.Title.TextStyle.Font, &r.X.Label.TextStyle.Font, &r.Y.Label.TextStyle.Font, &r.X.Tick.Label.Font, &r.Y.Tick.Label.Font, &r.Legend.TextStyle.Font} {
		*f = sans(10)
	}
	r.Legend.Top, r.Legend.Left, r.Legend.XOffs, r.Legend.YOffs, r.Legend.Padding = true, true, vg.Points(10), vg.Points(-4), vg.Points(2)
	r.Title.Padding, r.X.Padding, r.Y.Padding = vg.Points(8), vg.Points(4), vg.Points(4)
}

// roof draws what the machine does at most: a slope, memory, and a ceiling, arithmetic.
func (r *roofline) roof(p peak.Peak, dashed bool) error {
	at := func(x float64) float64 { return min(x*p.Bandwidth, p.FLOPS) / gigaFLOP }
	ridge := p.FLOPS / p.Bandwidth
	first := max(r.left, r.bottom*gigaFLOP/p.Bandwidth)
	line, err := plotter.NewLine(plotter.XYs{{X: first, Y: at(first)}, {X: ridge, Y: at(ridge)}, {X: r.right, Y: at(r.right)}})
	if err != nil {
		return err
	}
	line.Width, line.Color = vg.Points(1.6), ink
	if dashed {
		line.Width, line.Color, line.Dashes = vg.Points(1), gray, []vg.Length{vg.Points(5), vg.Points(4)}
	}
	r.Add(line)
	r.Legend.Add(fmt.Sprintf("%s: %.0f GFLOP/s, %.1f GB/s", count(p.Threads, "thread"), p.FLOPS/gigaFLOP, p.Bandwidth/gigaFLOP), line)
	return nil
}

func sans(points float64) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, vg.Points(points))
}

// draw adds the points, and to each a thin line that leads to its name.
func (r *roofline) draw() error {
	heights := r.column()
	for i, p := range r.points {
		at := plotter.XY{X: p.intensity(), Y: p.flops() / gigaFLOP}
		leader, err := plotter.NewLine(plotter.XYs{at, {X: r.right, Y: heights[i]}, {X: r.names, Y: heights[i]}})
		if err != nil {
			return err
		}
		leader.Width, leader.Color = vg.Points(0.4), gray
		r.Add(leader)
	}
	large := slices.SortedFunc(slices.Values(r.points), func(a, b part) int { return cmp.Compare(b.Share, a.Share) })
	for _, p := range large { // so that small ones are on top
		dot, err := plotter.NewScatter(plotter.XYs{{X: p.intensity(), Y: p.flops() / gigaFLOP}})
		if err != nil {
			return err
		}
		way, shade := wayOf(p.Op)
		dot.GlyphStyle = draw.GlyphStyle{Color: shade, Radius: vg.Points(2 + 18*math.Sqrt(p.Share)), Shape: draw.CircleGlyph{}}
		r.Add(dot)
		if !slices.Contains(r.ways, way) {
			r.ways = append(r.ways, way)
			r.Legend.Add(way, swatch{shade})
		}
	}
	for i, p := range r.points {
		name, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: r.names, Y: heights[i]}},
			Labels: []string{fmt.Sprintf(" %s  %.1f %% of time, %.0f %% of roof", p.Op, 100*p.Share, 100*p.OfRoof)}})
		if err != nil {
			return err
		}
		name.TextStyle[0].YAlign, name.TextStyle[0].Font = draw.YCenter, sans(9)
		r.Add(name)
	}
	return nil
}

// column is where the names stand, from the bottom up: as near to their points' heights as there is room.
func (r *roofline) column() []float64 {
	n := len(r.points)
	low, high := math.Log(r.bottom)+0.03*math.Log(r.top/r.bottom), math.Log(r.top)-0.03*math.Log(r.top/r.bottom)
	step := min(0.045*math.Log(r.top/r.bottom), (high-low)/float64(max(1, n-1)))
	out := make([]float64, n)
	for i, p := range r.points {
		out[i] = max(low+float64(i)*step, math.Log(p.flops()/gigaFLOP))
		if i > 0 {
			out[i] = max(out[i], out[i-1]+step)
		}
	}
	for i := n - 1; i >= 0; i-- { // what went over the top pushes the others down
		out[i] = min(out[i], high-float64(n-1-i)*step)
	}
	for i := range out {
		out[i] = math.Exp(out[i])
	}
	return out
}

var (
	ink  = color.Gray{Y: 40}
	gray = color.Gray{Y: 150}
)

// wayOf tells the way forward from the way back, and both from what is neither.
func wayOf(op string) (name string, shade color.Color) {
	switch {
	case strings.HasSuffix(op, ".grad"):
		return "backward", color.NRGBA{R: 213, G: 94, B: 0, A: 190}
	case op == "head":
		return "forward and backward in one", color.NRGBA{R: 204, G: 121, B: 167, A: 190}
	case op == "optimizer":
		return "optimizer", color.NRGBA{R: 0, G: 158, B: 115, A: 190}
	}
	return "forward", color.NRGBA{R: 0, G: 114, B: 178, A: 190}
}

// swatch is a dot in the legend, of one size for all shares.
type swatch struct{ shade color.Color }

// Thumbnail implements plot.Thumbnailer.
func (s swatch) Thumbnail(c *draw.Canvas) {
	c.DrawGlyph(draw.GlyphStyle{Color: s.shade, Radius: vg.Points(4), Shape: draw.CircleGlyph{}}, c.Center())
}

// decades ticks an axis at powers of ten, with small ticks between.
type decades struct{ upTo float64 }

// Ticks implements plot.Ticker.
func (d decades) Ticks(lo, hi float64) (out []plot.Tick) {
	for e := math.Floor(math.Log10(lo)); e <= math.Log10(hi); e++ {
		for k := 1; k < 10; k++ {
			v := float64(k) * math.Pow(10, e)
			if v < lo || v > min(hi, d.upTo) {
				continue
			}
			label := ""
			if k == 1 {
				label = fmt.Sprintf("%g", v)
			}
			out = append(out, plot.Tick{Value: v, Label: label})
		}
	}
	return out
}
