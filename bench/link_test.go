package bench

import (
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/skein-train/skein/aggregator"
)

func timeline(t testing.TB, l Link) *Timeline {
	t.Helper()
	line, err := l.Timeline()
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// 80 steps of 100 ms, then 1 Gbit that everybody waits for; four fragments of 250 Mbit; and what a topology adds.
func TestUtilisationByHand(t *testing.T) {
	base := Link{Parameters: 1e9 / 16, Bits: 16, Step: 100 * time.Millisecond, Every: 80, Fragments: 1, Workers: 4, Topology: "pair"}
	for _, c := range []struct {
		name   string
		change func(*Link)
		rate   float64
		want   float64
	}{
		{"blocking: 8 s and 2 s", func(*Link) {}, 500e6, .8},
		{"fragments do not help those who wait", func(l *Link) { l.Fragments = 4 }, 500e6, .8},
		{"2 s hide behind 20 steps", func(l *Link) { l.Delay = 20 }, 500e6, 1},
		{"1 s of 2 hides behind 10 steps", func(l *Link) { l.Delay = 10 }, 500e6, 8. / 9},
		{"each of 4 fragments, .5 s, is waited for .3 s", func(l *Link) { l.Fragments, l.Delay = 4, 2 }, 500e6, 8 / 9.2},
		{"10 s of traffic for 8 s of work", func(l *Link) { l.Delay = 80 }, 100e6, .8},
		{"4 copies", func(l *Link) { l.Topology = "all" }, 500e6, .5},
		{"up, then down", func(l *Link) { l.Topology = "hub" }, 500e6, 8. / 12},
		{"6/4 of the payload", func(l *Link) { l.Topology = "ring" }, 500e6, 8. / 11},
		{"6 messages of 100 ms each", func(l *Link) { l.Topology, l.Latency = "ring", 100*time.Millisecond }, 500e6, 8 / 11.6},
		{"layers 2 and 1 of 2: the second's gradient leaves 20 ms before the end", func(l *Link) { l.Layers = 2 }, 500e6, 8 / (10 - .02)},
	} {
		l := base
		c.change(&l)
		line := timeline(t, l)
		if u := line.Utilisation(c.rate); math.Abs(u-c.want) > 1e-9 {
			t.Errorf("%s: %.6f, want %.6f", c.name, u, c.want)
		}
		if c.want < 1 {
			if b := line.Bandwidth(c.want); math.Abs(b/c.rate-1) > 1e-6 {
				t.Errorf("%s: %.4g bit/s give %g, the inverse says %.4g", c.name, c.rate, c.want, b)
			}
		}
	}
	base.Latency = time.Minute
	if b := timeline(t, base).Bandwidth(.5); !math.IsInf(b, 1) {
		t.Errorf("a minute's latency leaves half of the time to 8 s of work at %g bit/s", b)
	}
}

// The second 200 rounds of a dry run take the time that the formula says.
func TestTheFormulaIsADryRun(t *testing.T) {
	const step = time.Second
	for topology, latency := range map[string]time.Duration{"all": 200 * time.Millisecond, "pair": 200 * time.Millisecond} {
		for _, workers := range []int{2, 4, 8} {
			for _, s := range []aggregator.Schedule{
				{Every: 10, Fragments: 1}, {Every: 10, Fragments: 2}, {Every: 10, Fragments: 1, Delay: 3}, {Every: 10, Fragments: 5, Delay: 1},
				{Every: 10, Fragments: 5, Delay: 7}, {Every: 10, Fragments: 1, Delay: 10}, {Every: 1, Fragments: 1},
			} {
				l := Link{Parameters: 1e8, Bits: 8, Step: step, Every: int(s.Every), Fragments: int(s.Fragments), Delay: int(s.Delay), Workers: workers, Topology: topology, Latency: latency}
				line := timeline(t, l)
				for _, rate := range []float64{3e7, 2e8, 1e9, 2e10} {
					host := Host{Up: rate, Down: rate, Latency: latency / 2, Step: step}
					takes := func(rounds uint64) float64 {
						s.Steps = rounds * s.Stride()
						r, err := Dry{Schedule: s, Hosts: slices.Repeat([]Host{host}, workers), Seat: Host{Latency: latency / 2}, Topology: aggregator.Topology(topology), Payload: int(1e8 / s.Fragments)}.Run()
						if err != nil {
							t.Fatal(err)
						}
						return r.Time.Seconds()
					}
					dry := float64(200*s.Stride()) * step.Seconds() / (takes(400) - takes(200))
					if u := line.Utilisation(rate); math.Abs(u/dry-1) > .01 {
						t.Errorf("%s, %d workers, %+v, %g bit/s: %.4f, the dry run says %.4f", topology, workers, s, rate, u, dry)
					}
				}
			}
		}
	}
}

// More bandwidth never hurts, and the inverse is one.
func TestBandwidthIsTheInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		every := rapid.IntRange(1, 60).Draw(t, "every")
		fragments := rapid.IntRange(1, min(every, 8)).Draw(t, "fragments")
		l := Link{
			Parameters: 1e9, Bits: rapid.Float64Range(.1, 32).Draw(t, "bits"), Step: time.Second, Every: every, Fragments: fragments,
			Delay: rapid.IntRange(0, every).Draw(t, "delay"), Workers: rapid.IntRange(2, 20).Draw(t, "workers"),
			Topology: rapid.SampledFrom([]string{"all", "pair", "hub", "ring"}).Draw(t, "topology"),
			Layers:   rapid.SampledFrom([]int{0, 8, 24}).Draw(t, "layers"),
		}
		line, err := l.Timeline()
		if err != nil {
			t.Fatal(err)
		}
		before := 0.
		for rate := 1e5; rate < 1e13; rate *= 3 {
			u := line.Utilisation(rate)
			if u < before-1e-9 || u > 1 {
				t.Fatalf("%g at %g bit/s, %g at a third of it", u, rate, before)
			}
			before = u
		}
		want := rapid.Float64Range(.05, .98).Draw(t, "utilisation")
		b := line.Bandwidth(want)
		if line.Utilisation(b) < want || line.Utilisation(b*.999) > want+1e-9 {
			t.Fatalf("%g bit/s for %g: gives %g, and %g a little below", b, want, line.Utilisation(b), line.Utilisation(b*.999))
		}
	})
}

func TestALinkThatIsNone(t *testing.T) {
	good := Link{Parameters: 1e9, Bits: 8, Step: time.Second, Every: 10, Fragments: 2, Workers: 4, Topology: "all"}
	timeline(t, good)
	for name, spoil := range map[string]func(*Link){
		"parameters": func(l *Link) { l.Parameters = math.NaN() }, "bits": func(l *Link) { l.Bits = 0 }, "step": func(l *Link) { l.Step = 0 },
		"every": func(l *Link) { l.Every = 0 }, "fragments": func(l *Link) { l.Fragments = 11 }, "delay": func(l *Link) { l.Delay = 11 },
		"workers": func(l *Link) { l.Workers = 1 }, "topology": func(l *Link) { l.Topology = "star" }, "latency": func(l *Link) { l.Latency = -1 },
		"layers": func(l *Link) { l.Layers = 1 },
	} {
		l := good
		spoil(&l)
		if _, err := l.Timeline(); err == nil {
			t.Errorf("%s: %+v is taken", name, l)
		}
	}
}

// paperTable is table 4 of Streaming DiLoCo (arXiv 2501.18512): Gbit/s for a utilisation of 50, 80, 90, 95 and 99 %; H = 100, fragments of
// three layers, in the order of methods: data parallel, DiLoCo, streaming, with an overlap of one step, with 4 bits too.
var paperTable = []struct {
	name       string
	parameters float64
	layers     int
	step       time.Duration
	gbits      [5][5]float64
}{
	{"1B", 1e9, 24, 100 * time.Millisecond, [5][5]float64{{86.8, 152.6, 184.2, 222.3, 569}, {1.4, 6.2, 13.3, 23.3, 86.8}, {1.4, 5.2, 9.1, 16, 28.1}, {1.4, 4.3, 6.2, 9.1, 11}, {.4, .9, 1.7, 2, 3}}},
	{"10B", 1e10, 48, 800 * time.Millisecond, [5][5]float64{{104.8, 222.3, 222.3, 268.3, 471.5}, {1.7, 7.5, 16, 33.9, 104.8}, {1.7, 5.2, 9.1, 13.3, 19.3}, {1.7, 3.6, 5.2, 6.2, 7.5}, {.4, .9, 1.4, 1.4, 1.7}}},
	{"100B", 1e11, 108, 4900 * time.Millisecond, [5][5]float64{{184.2, 323.8, 390.7, 390.7, 471.5}, {3, 11, 23.3, 49.4, 184.2}, {2.4, 6.2, 9.1, 11, 19.3}, {1.7, 3.6, 4.3, 5.2, 5.2}, {.5, .9, 1.1, 1.1, 1.4}}},
}

// paperGrid is where the paper looks: 50 bandwidths from 0.1 to 1000 Gbit/s, evenly spaced by their logarithms.
func paperGrid(k int) float64 { return math.Pow(10, -1+4*float64(k)/49) }

// printed is a point of the grid as the table shows it: all of its numbers are points rounded to two digits behind the comma, and then to one.
func printed(gbits float64) string {
	two, _ := strconv.ParseFloat(strconv.FormatFloat(gbits, 'f', 2, 64), 64)
	return strconv.FormatFloat(two, 'f', 1, 64)
}

// paperRow is a method of the table as a Link: two workers, bf16, or 4 bits.
func paperRow(parameters float64, layers int, step time.Duration, method int) Link {
	l := Link{Parameters: parameters, Bits: 16, Step: step, Every: 100, Fragments: 1, Workers: 2, Topology: "ring", Layers: layers}
	if method == 0 {
		l.Every = 1
	}
	if method >= 2 {
		l.Fragments = layers / 3
	}
	if method >= 3 {
		l.Delay = 1
	}
	if method == 4 {
		l.Bits = 4
	}
	return l
}

// The formula against the paper's simulator. The numbers printed are the last points of the grid that are not enough (docs/results/utilisation.md
// says why that must be), so ours is the point below what we need.
func TestStreamingDiLoCosTable(t *testing.T) {
	exact, cells := 0, 0
	for _, model := range paperTable {
		for method, row := range model.gbits {
			line := timeline(t, paperRow(model.parameters, model.layers, model.step, method))
			for i, u := range []float64{.5, .8, .9, .95, .99} {
				need := line.Bandwidth(u) / 1e9
				last := 0
				for paperGrid(last+1) < need {
					last++
				}
				apart := math.MaxInt
				for k := range 50 {
					if printed(paperGrid(k)) == strconv.FormatFloat(row[i], 'f', 1, 64) && abs(last-k) < abs(apart) {
						apart = last - k
					}
				}
				t.Logf("%-4s method %d %.0f %%: need %8.3f, last point below %7.3f, paper %6.1f: %+d", model.name, method, 100*u, need, paperGrid(last), row[i], apart)
				if abs(apart) > 1 {
					t.Errorf("%s, method %d, %.0f %%: need %.2f Gbit/s, the paper %.1f: %d points of its grid apart", model.name, method, 100*u, need, row[i], apart)
				}
				cells++
				if apart == 0 {
					exact++
				}
			}
		}
	}
	if exact < 64 {
		t.Errorf("%d of %d cells are the paper's own point, were 64", exact, cells)
	}
}

// Table 1 of the paper gives hours with and without a limit of 1 Gbit/s for the model of 1B parameters: 6.75 and 1097 for data parallel,
// 6.75 and 8.75 for streaming with overlap and 4 bits. The latter, 77 %, is why the 0.9 Gbit/s that table 4 prints for 80 % cannot be enough.
func TestStreamingDiLoCosHours(t *testing.T) {
	for method, want := range map[int]float64{0: 6.75 / 1097, 4: 6.75 / 8.75} {
		line := timeline(t, paperRow(1e9, 24, 100*time.Millisecond, method))
		if u := line.Utilisation(1e9); math.Abs(u/want-1) > .02 {
			t.Errorf("method %d: %.4f, the paper's hours say %.4f", method, u, want)
		}
	}
}

func abs(n int) int { return max(n, -n) }
