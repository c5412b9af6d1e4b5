package report

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/plot/plotter"

	"github.com/skein-train/skein/bench"
)

// Charts are the pictures that there is something to draw for.
func (r *Report) Charts() []*chart {
	loss := axis{label: "training loss, nats per token"}
	if r.validated() {
		loss.label = "validation loss, nats per token"
	}
	var out []*chart
	out = append(out, r.losses("loss-tokens", "Loss against tokens", loss, axis{label: "tokens of all workers", words: kilo},
		func(_ bench.Outcome, p bench.Point) float64 { return float64(p.Tokens) }),
		r.losses("loss-bits", "Loss against bits per parameter", loss, axis{label: "bits that a worker has sent for each parameter", log: true, words: number},
			func(o bench.Outcome, p bench.Point) float64 { return 8 * float64(p.Payload) / float64(o.Params) }))
	for i, road := range r.roads() {
		c := r.losses("loss-time-"+strings.NewReplacer(" ", "", "/", "").Replace(Bandwidth(road.Bandwidth)), "Loss against time, "+Bandwidth(road.Bandwidth), loss,
			axis{label: "time since the start", log: true, time: true}, func(o bench.Outcome, p bench.Point) float64 { return when(o, i, p) })
		out = append(out, c)
	}
	out = append(out, r.pareto(), r.utilisation(), r.cosine())
	var drawn []*chart
	for _, c := range out {
		if len(c.curves) > 0 {
			drawn = append(drawn, c)
		}
	}
	return drawn
}

// validated says whether the curves are of validation losses: if all runs have more than one.
func (r *Report) validated() bool {
	for _, row := range r.Rows {
		for _, o := range row.Runs {
			n := 0
			for _, p := range o.Points {
				if p.Val != nil {
					n++
				}
			}
			if n < 2 {
				return false
			}
		}
	}
	return true
}

// losses draws the mean loss of each cell's runs over x.
func (r *Report) losses(file, title string, y, x axis, at func(bench.Outcome, bench.Point) float64) *chart {
	c := &chart{File: file, Title: title, x: x, y: y, floor: math.NaN(), top: math.Inf(-1)}
	validated := r.validated()
	for i, row := range r.Rows {
		curve := curve{name: row.Cell, color: i, half: math.NaN()}
		for _, o := range row.Runs[:min(1, len(row.Runs))] {
			early := math.Inf(-1)
			for k, p := range o.Points {
				x, y := at(o, p), row.lossAt(k, validated)
				if math.IsNaN(y) || x <= 0 && c.x.log || math.IsNaN(x) {
					continue
				}
				curve.at = append(curve.at, plotter.XY{X: x, Y: y})
				if 4*p.Tokens >= o.Points[len(o.Points)-1].Tokens {
					early = max(early, y)
				}
			}
			c.top = max(c.top, early)
		}
		if len(curve.at) > 0 {
			c.curves = append(c.curves, curve)
		}
	}
	if front := r.Front(); len(front) > 0 { // what runs away leaves the picture
		c.top = min(c.top, 2*front[len(front)-1].Loss.Mean)
	}
	c.Note = "Mean over seeds. The axis leaves out the first quarter of the training, in which all fall steeply."
	return c
}

// when is the time of a point on a road, in seconds. Rounds are regular, so that what lies between start and end is in proportion.
func when(o bench.Outcome, road int, p bench.Point) float64 {
	if road >= len(o.Roads) || o.Tokens == 0 {
		return math.NaN()
	}
	if p.Wall > 0 && o.Roads[road].Bandwidth == 0 {
		return p.Wall
	}
	return o.Roads[road].Time.Seconds() * float64(p.Tokens) / float64(o.Tokens)
}

// lossAt is the mean over seeds at the k-th point; NaN where it was not measured.
func (r Row) lossAt(k int, validated bool) float64 {
	return mean(each(r.Runs, func(o bench.Outcome) float64 {
		switch {
		case k >= len(o.Points):
			return math.NaN()
		case !validated && o.Points[k].Loss == 0: // the worker took no step since the landing before
			return math.NaN()
		case !validated:
			return o.Points[k].Loss
		case o.Points[k].Val == nil:
			return math.NaN()
		}
		return *o.Points[k].Val
	}))
}

// pareto draws what the bits buy.
func (r *Report) pareto() *chart {
	c := &chart{File: "pareto", points: true, Title: "What a bit buys", floor: math.NaN(), top: math.NaN(),
		x: axis{label: "bits per parameter and inner step, upload of a worker", log: true, words: number}, y: axis{label: "final validation loss, nats per token"},
		Note: "The dashed line joins the cells that no other one beats in both loss and bits."}
	for i, row := range r.Rows {
		if len(row.Runs) == 0 || row.BitsPerStep <= 0 {
			continue
		}
		half := math.NaN()
		if row.Loss.N > 2 { // of two seeds it is so wide that it says nothing
			half = row.Loss.Half
		}
		c.curves = append(c.curves, curve{name: row.Cell, color: i, at: plotter.XYs{{X: row.BitsPerStep, Y: row.Loss.Mean}}, half: half})
	}
	for _, row := range r.Front() {
		if row.BitsPerStep > 0 {
			c.front = append(c.front, plotter.XY{X: row.BitsPerStep, Y: row.Loss.Mean})
		}
	}
	return c
}

// utilisation draws what part of the time workers compute.
func (r *Report) utilisation() *chart {
	c := &chart{File: "utilisation", Title: "Utilisation against bandwidth", floor: 0, top: math.NaN(),
		x: axis{label: "bandwidth, up and down", log: true, words: Bandwidth}, y: axis{label: "part of the time spent on inner steps", words: percent},
		Note: "Worked out from the bytes sent and the schedule, with the latency and the time of a step that the bench names."}
	for i, row := range r.Rows {
		curve := curve{name: row.Cell, color: i, half: math.NaN()}
		for _, road := range row.Roads {
			if road.Bandwidth > 0 {
				curve.at = append(curve.at, plotter.XY{X: road.Bandwidth, Y: road.Utilisation})
			}
		}
		if len(curve.at) > 1 {
			c.curves = append(c.curves, curve)
		}
	}
	return c
}

// cosine draws how much the workers agree. Where rounds are many, each point is the mean of some.
func (r *Report) cosine() *chart {
	const points = 24
	c := &chart{File: "cosine", Title: "Agreement of the workers", floor: math.NaN(), top: math.NaN(),
		x: axis{label: "rounds, as a part of the run", words: percent}, y: axis{label: "mean cosine between pseudo-gradients"},
		Note: fmt.Sprintf("Mean over seeds; where a run has more than %d rounds, over neighbouring rounds, too.", points)}
	for i, row := range r.Rows {
		curve := curve{name: row.Cell, color: i, half: math.NaN()}
		n := 0
		for _, o := range row.Runs {
			n = max(n, len(o.Cosine))
		}
		for k := range min(n, points) {
			lo, hi := k*n/min(n, points), (k+1)*n/min(n, points)
			var values []float64
			for _, o := range row.Runs {
				values = append(values, o.Cosine[min(lo, len(o.Cosine)):min(hi, len(o.Cosine))]...)
			}
			if v := mean(values); !math.IsNaN(v) {
				curve.at = append(curve.at, plotter.XY{X: float64(hi) / float64(n), Y: v})
			}
		}
		if len(curve.at) > 1 {
			c.curves = append(c.curves, curve)
		}
	}
	return c
}
