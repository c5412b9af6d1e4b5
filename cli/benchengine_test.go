package cli

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skein-train/skein/trainer"
	"github.com/skein-train/skein/trainer/engine/peak"
)

// Two steps, one of them slow: medians are the slower one's, bests the faster one's, and what is outside of the ops is left over.
func TestStopwatch(t *testing.T) {
	s := &stopwatch{kinds: map[string]*kind{}}
	s.note(trainer.Event{Op: "linear", Took: time.Hour}) // while warming up
	s.lap(3600, 1, 2)
	s.forget()
	for _, second := range []time.Duration{time.Second, 2 * time.Second} {
		for range 3 {
			s.note(trainer.Event{Op: "linear", FLOPs: 1e9, Bytes: 1e8, Took: second / 4})
		}
		s.note(trainer.Event{Op: "linear", Again: true, FLOPs: 1e9, Took: second / 8})
		s.lap(second.Seconds(), 2*second.Seconds(), 2)
	}
	if r := s.rates(100); r != (rates{Median: 50, Best: 100, CPUMedian: 25, CPUBest: 50}) {
		t.Errorf("rates %+v", r)
	}
	parts, rest := s.parts(2)
	if len(parts) != 2 || rest != time.Second/4 {
		t.Fatalf("%+v, rest %v", parts, rest)
	}
	if p := parts[0]; p.Op != "linear" || p.Calls != 3 || p.FLOPs != 3e9 || p.Bytes != 3e8 || p.Time != 3*time.Second/2 || p.Share != .75 {
		t.Errorf("%+v", p)
	}
	if p := parts[1]; p.Op != "linear again" || p.Calls != 1 || p.Time != time.Second/4 {
		t.Errorf("%+v", p)
	}
}

func sampleMeasurement() *measurement {
	m := &measurement{
		Engine: "cpu: none", Threads: 2, Parameters: 1000, StepS: 1, Captured: .96, FLOPS: rates{Median: 50e9}, TokensPerS: rates{Median: 1000},
		Peaks: []peak.Peak{{Threads: 2, FLOPS: 200e9, Bandwidth: 20e9}, {Threads: 1, FLOPS: 100e9, Bandwidth: 15e9}},
		Parts: []part{
			{Op: "linear.grad", Calls: 1, Time: 500 * time.Millisecond, Share: .5, FLOPs: 50e9, Bytes: 1e9},
			{Op: "optimizer", Calls: 1, Time: 100 * time.Millisecond, Share: .1, FLOPs: 1e9, Bytes: 1e9},
			{Op: "data", Calls: 1, Time: time.Millisecond, Share: .001},
		},
	}
	m.hold()
	return m
}

// The roof over an op is the lower one: 50 GFLOP want .25 s of arithmetic, 1 GB .05 s of traffic.
func TestRoofs(t *testing.T) {
	m := sampleMeasurement()
	if p := m.Parts[0]; p.ByTraffic || math.Abs(p.OfRoof-.5) > 1e-9 {
		t.Errorf("%+v", p)
	}
	if p := m.Parts[1]; !p.ByTraffic || math.Abs(p.OfRoof-.5) > 1e-9 {
		t.Errorf("%+v", p)
	}
	if m.OfPeak != .25 {
		t.Errorf("%g of the peak", m.OfPeak)
	}
	var out bytes.Buffer
	m.tell(newConsole(&out))
	for _, want := range []string{"200 GFLOP/s and 20.0 GB/s at most with 2 threads", "25 % of the machine's peak", " 50 % of arithmetic", "96.0 % of a step inside", " 50 % of memory"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

func TestRooflineIsDrawn(t *testing.T) {
	for _, ext := range []string{".svg", ".png"} {
		file := filepath.Join(t.TempDir(), "roofline"+ext)
		if err := sampleMeasurement().plot(file); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if ext == ".svg" && !(bytes.Contains(b, []byte("linear.grad  50.0 % of time, 50 % of roof")) && bytes.Contains(b, []byte("2 threads: 200 GFLOP/s"))) {
			t.Errorf("an op or the roof is missing:\n%s", b)
		}
		if ext == ".png" && !bytes.HasPrefix(b, []byte("\x89PNG")) {
			t.Error("no PNG")
		}
	}
}

// Names stand apart, in the order of their points, within the picture.
func TestRooflineNames(t *testing.T) {
	for n := 1; n <= 25; n++ {
		r := &roofline{bottom: 1, top: 100}
		for i := range n {
			r.points = append(r.points, part{FLOPs: int64(1e9 * (1 + 90*i/n/2)), Time: time.Second})
		}
		at := r.column()
		for i, y := range at {
			if y < r.bottom || y > r.top || i > 0 && y < at[i-1]*1.1 {
				t.Fatalf("%d names at %.3g", n, at)
			}
		}
	}
}
