package report

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"gonum.org/v1/plot"
)

// ticks of an axis.
func (a axis) ticks() plot.Ticker {
	if a.time {
		return lasting{}
	}
	if a.log {
		return decades{a.words}
	}
	return round{a.words}
}

// round ticks at some five round numbers.
type round struct{ words func(float64) string }

// Ticks implements plot.Ticker.
func (r round) Ticks(lo, hi float64) (out []plot.Tick) {
	rough := (hi - lo) / 6
	step := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, k := range []float64{1, 2, 5, 10} {
		if k*step >= rough {
			step *= k
			break
		}
	}
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	for k := math.Ceil(lo/step - 1e-9); k*step <= hi+1e-9*step; k++ {
		v := k*step + 0 // no −0
		text := strconv.FormatFloat(v, 'f', digits, 64)
		if r.words != nil {
			text = r.words(v)
		}
		out = append(out, plot.Tick{Value: v, Label: text})
	}
	return out
}

// decades ticks at powers of ten, and at twice and five times those where there are few.
type decades struct{ words func(float64) string }

// Ticks implements plot.Ticker.
func (d decades) Ticks(lo, hi float64) (out []plot.Tick) {
	few := math.Log10(hi/lo) < 2.2 && len(d.words(hi)) < 7 // long names need room
	many := int(math.Log10(hi/lo))/8 + 1
	for e := math.Floor(math.Log10(lo)); e <= math.Log10(hi); e++ {
		for k := 1; k < 10; k++ {
			v := float64(k) * math.Pow(10, e)
			if v < lo || v > hi {
				continue
			}
			text := ""
			if k == 1 && int(e)%many == 0 || few && (k == 2 || k == 5) {
				text = d.words(v)
			}
			out = append(out, plot.Tick{Value: v, Label: text})
		}
	}
	return out
}

// lasting ticks an axis of seconds at times that people use.
type lasting struct{}

// Ticks implements plot.Ticker.
func (lasting) Ticks(lo, hi float64) (out []plot.Tick) {
	few := math.Log10(hi/lo) < 2
	for _, d := range []struct {
		at    time.Duration
		text  string
		round bool
	}{
		{100 * time.Millisecond, "0.1 s", true}, {time.Second, "1 s", true}, {2 * time.Second, "2 s", false}, {5 * time.Second, "5 s", false},
		{10 * time.Second, "10 s", true}, {20 * time.Second, "20 s", false}, {30 * time.Second, "30 s", false}, {time.Minute, "1 min", true}, {2 * time.Minute, "2 min", false}, {5 * time.Minute, "5 min", false},
		{10 * time.Minute, "10 min", true}, {20 * time.Minute, "20 min", false}, {30 * time.Minute, "30 min", false}, {time.Hour, "1 h", true}, {2 * time.Hour, "2 h", false}, {5 * time.Hour, "5 h", false},
		{10 * time.Hour, "10 h", true}, {24 * time.Hour, "1 d", false}, {48 * time.Hour, "2 d", false}, {100 * time.Hour, "4 d", true}, {240 * time.Hour, "10 d", false}, {1000 * time.Hour, "42 d", true},
	} {
		if v := d.at.Seconds(); v >= lo && v <= hi {
			t := plot.Tick{Value: v}
			if few || d.round {
				t.Label = d.text
			}
			out = append(out, t)
		}
	}
	return out
}

// kilo is a count in thousands and millions.
func kilo(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e9:
		return fmt.Sprintf("%gG", v/1e9)
	case a >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case a >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return humanize.Ftoa(v)
}

// percent is a part of one.
func percent(v float64) string { return fmt.Sprintf("%g %%", math.Round(1000*v)/10) }
