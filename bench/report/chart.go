package report

import (
	"bytes"
	"fmt"
	"image/color"
	"image/png"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is one picture.
type chart struct {
	File   string // name without extension
	Title  string
	Note   string // below the picture on the page
	x, y   axis
	curves []curve
	floor  float64 // y that the axis reaches down to, and top up to, whatever the curves do; NaN: as the curves need
	top    float64
	points bool        // not curves
	front  plotter.XYs // steps behind the points, if any
}

// axis is one axis of a chart.
type axis struct {
	label string
	log   bool
	time  bool                 // in seconds
	words func(float64) string // of a tick
}

// curve is one cell's line, or its point.
type curve struct {
	name  string
	color int
	at    plotter.XYs
	half  float64 // of the interval around a point, if it has one; else NaN
}

const (
	width  = 17 * vg.Centimeter
	height = 11 * vg.Centimeter
	margin = 5  // points
	crowd  = 20 // names that fit above one another
)

// Colours that those who see fewer of them tell apart, too (Okabe and Ito 2008), without the yellow that vanishes on white. The page puts
// its own in their place.
var palette = [...]color.RGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0x5b, 0x5b, 0x66, 0xff},
}

var (
	ink   = color.RGBA{0x22, 0x22, 0x26, 0xff}
	muted = color.RGBA{0x6e, 0x6e, 0x78, 0xff}
	grid  = color.RGBA{0xdd, 0xdd, 0xe1, 0xff}
)

// shapes differ from cell to cell, for prints without colour.
var shapes = [...]draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.TriangleGlyph{}, draw.SquareGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.CrossGlyph{}, draw.PlusGlyph{}}

func (c curve) shade() color.Color { return palette[c.color%len(palette)] }

// dashes tell curves apart when the colours are used up.
func (c curve) dashes() []vg.Length {
	switch c.color / len(palette) % 3 {
	case 1:
		return []vg.Length{vg.Points(5), vg.Points(3)}
	case 2:
		return []vg.Length{vg.Points(1.5), vg.Points(2.5)}
	}
	return nil
}

func (c curve) glyph(radius float64) draw.GlyphStyle {
	return draw.GlyphStyle{Color: c.shade(), Radius: vg.Points(radius), Shape: shapes[c.color%len(shapes)]}
}

func (c curve) end() plotter.XY { return c.at[len(c.at)-1] }

func sans(points float64) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, vg.Points(points))
}

// plot composes the picture. Without background it takes that of the page.
func (c *chart) plot(title, background bool) (*plot.Plot, error) {
	p := plot.New()
	if title {
		p.Title.Text = c.Title
	}
	if !background {
		p.BackgroundColor = nil
	}
	p.Title.TextStyle.Font, p.Title.TextStyle.Color, p.Title.Padding = sans(12), ink, vg.Points(8)
	p.X.Label.Text, p.Y.Label.Text = c.x.label, c.y.label
	c.frame(p)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font, a.Padding = sans(10), sans(9), vg.Points(3)
		a.Label.TextStyle.Color, a.Tick.Label.Color = ink, muted
		a.Label.Padding = vg.Points(4)
		a.LineStyle.Color, a.Tick.LineStyle.Color = muted, muted
	}
	if c.x.log {
		p.X.Scale = plot.LogScale{}
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = c.x.ticks(), c.y.ticks()
	lines := plotter.NewGrid()
	lines.Vertical.Color, lines.Horizontal.Color = grid, grid
	lines.Vertical.Width, lines.Horizontal.Width = vg.Points(0.5), vg.Points(0.5)
	p.Add(lines)
	if err := c.draw(p); err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	return p, nil
}

// frame chooses the ranges: those of the data and a little more.
func (c *chart) frame(p *plot.Plot) {
	lo, hi := plotter.XY{X: math.Inf(1), Y: math.Inf(1)}, plotter.XY{X: math.Inf(-1), Y: math.Inf(-1)}
	note := func(x, y float64) {
		lo.X, lo.Y, hi.X, hi.Y = min(lo.X, x), min(lo.Y, y), max(hi.X, x), max(hi.Y, y)
	}
	for _, curve := range c.curves {
		for _, at := range curve.at {
			note(at.X, at.Y)
			if !math.IsNaN(curve.half) && curve.half < 0.5*math.Abs(at.Y) {
				note(at.X, at.Y-curve.half)
				note(at.X, at.Y+curve.half)
			}
		}
	}
	if !math.IsNaN(c.top) {
		hi.Y = min(hi.Y, c.top)
	}
	if !math.IsNaN(c.floor) {
		lo.Y = c.floor
	}
	p.X.Min, p.X.Max = room(lo.X, hi.X, c.x.log)
	p.Y.Min, p.Y.Max = room(lo.Y, hi.Y, c.y.log)
	if !math.IsNaN(c.floor) {
		p.Y.Min = c.floor
	}
}

// room widens a range by a few hundredths of itself, and one without extent by more.
func room(lo, hi float64, log bool) (float64, float64) {
	if log {
		lo, hi = room(math.Log(lo), math.Log(hi), false)
		return math.Exp(lo), math.Exp(hi)
	}
	if by := hi - lo; by > 0 {
		return lo - 0.04*by, hi + 0.04*by
	}
	by := max(0.1, 0.05*math.Abs(lo))
	return lo - by, hi + by
}

// draw adds curves, points and names.
func (c *chart) draw(p *plot.Plot) error {
	if len(c.front) > 0 {
		line, err := plotter.NewLine(c.front)
		if err != nil {
			return err
		}
		line.StepStyle, line.Width, line.Color, line.Dashes = plotter.PostStep, vg.Points(1.2), muted, []vg.Length{vg.Points(4), vg.Points(3)}
		p.Add(line)
	}
	for _, curve := range c.curves {
		if len(curve.at) > 1 {
			line, err := plotter.NewLine(curve.at)
			if err != nil {
				return err
			}
			line.Width, line.Color, line.Dashes = vg.Points(1.6), curve.shade(), curve.dashes()
			p.Add(line)
		} else if !math.IsNaN(curve.half) {
			p.Add(bar{curve})
		}
		dot, err := plotter.NewScatter(plotter.XYs{curve.end()})
		if err != nil {
			return err
		}
		dot.GlyphStyle = curve.glyph(3.2)
		p.Add(dot)
	}
	if c.points {
		p.Add(&tags{c.curves, c.front})
	} else {
		p.Add(&column{c.curves})
	}
	return nil
}

// bar is the interval around a point, as far as the picture goes.
type bar struct{ curve }

// Plot implements plot.Plotter.
func (b bar) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	at := b.end()
	clamp := func(v float64) vg.Length { return y(min(max(v, p.Y.Min), p.Y.Max)) }
	c.StrokeLine2(draw.LineStyle{Color: b.shade(), Width: vg.Points(1)}, x(at.X), clamp(at.Y-b.half), x(at.X), clamp(at.Y+b.half))
}

// size grows with the names that have to stand above one another.
func (c *chart) size() (w, h vg.Length) {
	return width, height + vg.Length(max(0, len(c.curves)-crowd))*line
}

// PNG is the picture on white, at 144 dots an inch.
func (c *chart) PNG() ([]byte, error) {
	p, err := c.plot(true, true)
	if err != nil {
		return nil, err
	}
	canvas := vgimg.NewWith(vgimg.UseWH(c.size()), vgimg.UseDPI(144))
	p.Draw(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	var b bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, canvas.Image())
	return b.Bytes(), err
}

// SVG is the picture on white.
func (c *chart) SVG() ([]byte, error) { return c.svg(true, true) }

func (c *chart) svg(title, background bool) ([]byte, error) {
	p, err := c.plot(title, background)
	if err != nil {
		return nil, err
	}
	canvas := vgsvg.NewWith(vgsvg.UseWH(c.size()))
	p.Draw(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	// The canvas names one font only; a browser without it would take one with serifs.
	return []byte(strings.ReplaceAll(b.String(), "font-family:Liberation Sans", "font-family:Liberation Sans,Arial,Helvetica,sans-serif")), nil
}

// inline is the picture as part of a page: no header, no title, colours as variables of the style sheet, so that it follows light and dark.
func (c *chart) inline() (string, error) {
	b, err := c.svg(false, false)
	if err != nil {
		return "", err
	}
	text := string(b)
	text = text[strings.Index(text, "<svg"):]
	open := strings.Index(text, ">")
	w, h := c.size()
	text = fmt.Sprintf("<svg viewBox=\"0 0 %.5g %.5g\" role=\"img\" aria-label=\"%s\"", w.Points(), h.Points(), c.Title) + text[open:]
	swap := []string{hex(ink), "var(--ink)", hex(muted), "var(--muted)", hex(grid), "var(--grid)"}
	for i, shade := range palette {
		swap = append(swap, hex(shade), fmt.Sprintf("var(--c%d)", i))
	}
	return strings.NewReplacer(swap...).Replace(text), nil
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B) }
