package bench

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// A dry run takes the time and the bytes of a simulation with everything in it, blocking and overlapped, on fast roads and slow ones.
func TestADryRunIsASimulationWithoutAModel(t *testing.T) {
	for _, s := range []aggregator.Schedule{{Every: 10, Fragments: 1, Steps: 60}, {Every: 10, Fragments: 1, Delay: 5, Steps: 60}, {Every: 10, Fragments: 1, Delay: 10, Steps: 60}} {
		for _, rate := range []float64{0, 1e6, 40_000} {
			o := options(4)
			o.Layout = gradients.Layout{{Name: "a", Shape: []int{1000}}}
			o.Manifest.LayoutHash, o.Manifest.Schedule = aggregator.LayoutHash(o.Layout), s
			for i := range o.Hosts {
				o.Hosts[i].Up, o.Hosts[i].Down, o.Hosts[i].Latency = rate, rate, 10*time.Millisecond
			}
			full := simulate(t, o)
			dry, err := Dry{Schedule: s, Hosts: o.Hosts, Seat: o.Seat, Topology: "all", Payload: int(full.Payload[0]) / 6, Header: aggregator.SignedHeaderSize, Certificate: 300}.Run()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(dry.Payload, full.Payload) {
				t.Errorf("%+v at %g bit/s: payloads %v, the simulation's %v", s, rate, dry.Payload, full.Payload)
			}
			if off := math.Abs(dry.Time.Seconds()/full.Time.Seconds() - 1); off > 0.02 {
				t.Errorf("%+v at %g bit/s: %v, the simulation takes %v", s, rate, dry.Time, full.Time)
			}
		}
	}
}

// 1,024 workers with 1 G parameters in int8 over 100 Mbit/s, 100 rounds.
func TestPairsCostTheSameWhateverTheNumber(t *testing.T) {
	bytes := func(topology string, n int) int64 {
		r, err := Dry{Schedule: aggregator.Schedule{Every: 10, Fragments: 1, Steps: 1000}, Hosts: slices.Repeat([]Host{{Up: 1e8, Down: 1e8, Step: time.Second}}, n),
			Topology: topology, Payload: 1 << 30, Header: 272}.Run()
		if err != nil {
			t.Fatal(err)
		}
		return slices.Max(r.Sent)
	}
	if few, many := bytes("pair", 8), bytes("pair", 1024); math.Abs(float64(many)/float64(few)-1) > 0.01 {
		t.Errorf("a worker sends %d bytes among 8, %d among 1,024", few, many)
	}
	if few, many := bytes("all", 8), bytes("all", 64); many != few/8*64 {
		t.Errorf("a worker sends %d bytes among 8, %d among 64", few, many)
	}
}

func BenchmarkDry1024(b *testing.B) {
	hosts := slices.Repeat([]Host{{Up: 1e8, Down: 1e8, Step: time.Second}}, 1024)
	for b.Loop() {
		if _, err := (Dry{Schedule: aggregator.Schedule{Every: 10, Fragments: 1, Steps: 1000}, Hosts: hosts, Topology: "all", Payload: 1 << 30, Header: 272}).Run(); err != nil {
			b.Fatal(err)
		}
	}
}
