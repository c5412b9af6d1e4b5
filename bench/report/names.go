package report

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

var label = text.Style{Color: ink, Font: sans(9), XAlign: text.XLeft, YAlign: text.YCenter, Handler: plot.DefaultTextHandler}

// line is the height of a name.
const line = vg.Length(12) // points

// column is the names of curves on the right of the picture, in the order in which the curves end, each beside its end as far as there is
// room. A curve that ends at the right edge is led to its name.
type column struct{ curves []curve }

// GlyphBoxes implements plot.GlyphBoxer: behind the right end there is room for the longest name.
func (n *column) GlyphBoxes(*plot.Plot) []plot.GlyphBox {
	longest := vg.Length(0)
	for _, c := range n.curves {
		longest = max(longest, label.Width(c.name))
	}
	return []plot.GlyphBox{{X: 1, Y: 0.5, Rectangle: vg.Rectangle{Max: vg.Point{X: longest + vg.Points(32)}}}}
}

// Plot implements plot.Plotter.
func (n *column) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	height := func(curve curve) vg.Length { return min(max(y(curve.end().Y), c.Min.Y), c.Max.Y) }
	curves := slices.SortedStableFunc(slices.Values(n.curves), func(a, b curve) int { return cmp.Compare(a.end().Y, b.end().Y) })
	heights := spread(each(curves, height), line, c.Min.Y+line/2, c.Max.Y-line/2)
	left := c.Max.X + vg.Points(16)
	for i, curve := range curves {
		if end := x(curve.end().X); c.Max.X-end < vg.Points(30) {
			c.StrokeLine2(draw.LineStyle{Color: curve.shade(), Width: vg.Points(0.6)}, end, height(curve), left, heights[i])
		}
		mark := curve.glyph(3.2)
		c.SetColor(mark.Color)
		mark.Shape.DrawGlyph(&c, mark, vg.Point{X: left, Y: heights[i]}) // the canvas's own method leaves out what is beside the curves
		c.FillText(label, vg.Point{X: left + vg.Points(7), Y: heights[i]}, curve.name)
	}
}

// spread moves heights, which ascend, as little as keeps them apart and between bottom and top; if there are too many, they stand
// closer.
func spread(heights []vg.Length, apart, bottom, top vg.Length) []vg.Length {
	out := slices.Clone(heights)
	apart = min(apart, (top-bottom)/vg.Length(max(1, len(out)-1)))
	for i := range out {
		out[i] = max(out[i], bottom+vg.Length(i)*apart)
		if i > 0 {
			out[i] = max(out[i], out[i-1]+apart)
		}
	}
	for i := len(out) - 1; i >= 0; i-- { // what went over the top pushes the others down
		out[i] = min(out[i], top-vg.Length(len(out)-1-i)*apart)
		if i < len(out)-1 {
			out[i] = min(out[i], out[i+1]-apart)
		}
	}
	return out
}

// tags writes each point's name near it, where it covers neither another name nor, if it can be helped, anything else. They come last, so that
// they know all points.
type tags struct {
	curves []curve
	front  plotter.XYs
}

// GlyphBoxes implements plot.GlyphBoxer: there is some room on the right.
func (n *tags) GlyphBoxes(*plot.Plot) []plot.GlyphBox {
	return []plot.GlyphBox{{X: 1, Y: 0.5, Rectangle: vg.Rectangle{Max: vg.Point{X: vg.Points(50)}}}}
}

// Plot implements plot.Plotter.
func (n *tags) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	at := func(xy plotter.XY) vg.Point {
		return vg.Point{X: x(xy.X), Y: min(max(y(xy.Y), c.Min.Y), c.Max.Y)}
	}
	field := c.Rectangle
	field.Max.X += n.GlyphBoxes(p)[0].Max.X
	taken := obstacles{field: field}
	for i, step := range n.front {
		if i > 0 {
			taken.trace([]vg.Point{at(n.front[i-1]), at(plotter.XY{X: step.X, Y: n.front[i-1].Y}), at(step)})
		}
	}
	for _, curve := range n.curves {
		end, half := curve.end(), curve.half
		if math.IsNaN(half) {
			half = 0
		}
		taken.dots = append(taken.dots, at(end))
		taken.trace([]vg.Point{at(plotter.XY{X: end.X, Y: end.Y - half}), at(end), at(plotter.XY{X: end.X, Y: end.Y + half})})
	}
	taken.names = make([]vg.Rectangle, len(n.curves))
	for range 4 { // each makes room for those that had to go far
		for i, curve := range n.curves {
			taken.names[i] = vg.Rectangle{}
			taken.names[i] = taken.place(at(curve.end()), label.Width(curve.name), line)
		}
	}
	for i, curve := range n.curves {
		end, box := at(curve.end()), taken.names[i]
		if near := leader(box, end); distance(box, end) > vg.Points(9) {
			c.StrokeLine2(draw.LineStyle{Color: curve.shade(), Width: vg.Points(0.5)}, end.X, end.Y, near.X, near.Y)
		}
		c.FillText(label, vg.Point{X: box.Min.X, Y: (box.Min.Y + box.Max.Y) / 2}, curve.name)
	}
}

// obstacles are what names should keep clear of.
type obstacles struct {
	field vg.Rectangle // that names must stay in
	ink   []vg.Point   // along the lines
	dots  []vg.Point   // that the names are of
	names []vg.Rectangle
}

// trace notes a curve, every few points of its length.
func (o *obstacles) trace(line []vg.Point) {
	const apart = 2.5 // points
	for i, end := range line {
		o.ink = append(o.ink, end)
		if i == 0 {
			continue
		}
		start := line[i-1]
		n := int(math.Hypot(float64(end.X-start.X), float64(end.Y-start.Y)) / apart)
		for k := 1; k < n; k++ {
			t := vg.Length(k) / vg.Length(n)
			o.ink = append(o.ink, vg.Point{X: start.X + t*(end.X-start.X), Y: start.Y + t*(end.Y-start.Y)})
		}
	}
}

// place finds a box for a name near a point: first on the right, then around it, further and further away.
func (o *obstacles) place(end vg.Point, w, h vg.Length) vg.Rectangle {
	best, least := vg.Rectangle{}, math.Inf(1)
	try := func(left, middle vg.Length, price float64) {
		box := vg.Rectangle{Min: vg.Point{X: left, Y: middle - h/2}, Max: vg.Point{X: left + w, Y: middle + h/2}}
		if price >= least {
			return
		}
		if price += o.cost(box) + o.crossed(end, leader(box, end)); price < least {
			best, least = box, price
		}
	}
	for k := range 40 {
		for _, up := range []vg.Length{1, -1} {
			dy := up * vg.Length(k) * vg.Points(3)
			price := float64(k) / 2
			for _, dx := range []vg.Length{0, 17, 50, 100} {
				try(end.X+7+dx, end.Y+dy, price+float64(dx)/6)
			}
			try(end.X-vg.Points(7)-w, end.Y+dy, price+2)
			try(end.X-w/2, end.Y+dy, price+1)
		}
	}
	return best
}

// cost of a box: never outside, hardly ever over a name, seldom over a curve.
func (o *obstacles) cost(box vg.Rectangle) (cost float64) {
	f := o.field
	if box.Min.X < f.Min.X || box.Max.X > f.Max.X || box.Min.Y < f.Min.Y || box.Max.Y > f.Max.Y {
		cost += 1e6
	}
	for _, n := range o.names {
		if box.Min.X < n.Max.X && n.Min.X < box.Max.X && box.Min.Y < n.Max.Y && n.Min.Y < box.Max.Y {
			cost += 1e4
		}
	}
	for _, p := range o.ink {
		if distance(box, p) < vg.Points(2.5) {
			cost += 4
		}
	}
	return cost
}

// leader is where the line from a point to its name ends.
func leader(box vg.Rectangle, end vg.Point) vg.Point {
	return vg.Point{X: min(max(end.X, box.Min.X), box.Max.X), Y: (box.Min.Y + box.Max.Y) / 2}
}

// crossed is the price of a leader that runs over other points and their names.
func (o *obstacles) crossed(from, to vg.Point) (cost float64) {
	const steps = 12
	for k := 1; k <= steps; k++ {
		t := vg.Length(k) / steps
		at := vg.Point{X: from.X + t*(to.X-from.X), Y: from.Y + t*(to.Y-from.Y)}
		dot := vg.Rectangle{Min: at, Max: at}
		if distance(dot, from) < vg.Points(6) {
			continue
		}
		for _, p := range o.dots {
			if distance(dot, p) < vg.Points(4) {
				cost += 10
			}
		}
		for _, n := range o.names {
			if distance(n, at) == 0 {
				cost += 10
			}
		}
	}
	return cost
}

// distance of a point from a box.
func distance(box vg.Rectangle, p vg.Point) vg.Length {
	dx := max(box.Min.X-p.X, 0, p.X-box.Max.X)
	dy := max(box.Min.Y-p.Y, 0, p.Y-box.Max.Y)
	return vg.Length(math.Hypot(float64(dx), float64(dy)))
}
