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
			dryAgainstFull(t, rehearsable(4, s, rate), 0)
		}
	}
}

// So it does where workers meet by twos. The two runs draw other pairs, so that bytes are the same only if all have the same payloads to
// send, and nobody stays alone.
func TestADryRunOfPairs(t *testing.T) {
	for _, rate := range []float64{0, 1e6, 40_000} {
		o := pairs(rehearsable(6, aggregator.Schedule{Every: 10, Fragments: 1, Steps: 60}, rate))
		full := dryAgainstFull(t, o, 0.02)
		payload := full.Payload[0] / 6
		for i, in := range full.Received {
			const others = 6 * (6*300 + 1000) // certificates and headers
			if useful := 5*payload + 5*payload; in < useful || in > useful+others {
				t.Errorf("worker %d receives %d bytes: 5 rounds of one payload and one of five are %d", i, in, useful)
			}
		}
	}
}

// rehearsable is a simulation of n workers with one fragment.
func rehearsable(n int, s aggregator.Schedule, rate float64) Options {
	o := options(n)
	o.Layout = gradients.Layout{{Name: "a", Shape: []int{1000}}}
	o.Manifest.LayoutHash, o.Manifest.Schedule = aggregator.LayoutHash(o.Layout), s
	for i := range o.Hosts {
		o.Hosts[i].Up, o.Hosts[i].Down, o.Hosts[i].Latency = rate, rate, 10*time.Millisecond
	}
	return o
}

// pairs turns a simulation into one of NoLoCo.
func pairs(o Options) Options {
	o.Manifest.Topology, o.Manifest.Method = aggregator.Pair, "noloco"
	o.Method = aggregator.NoLoCo(func(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
		c, err := gradients.New("f32", l, f)
		if err != nil {
			return nil, err
		}
		return gradients.Both(c, f.Len())
	}, 0.5, 0.7, 0.7)
	return o
}

// dryAgainstFull compares a simulation with its dry run: payloads exactly, time within 2 %, what is sent and received within a part of it, if that is
// given.
func dryAgainstFull(t *testing.T, o Options, part float64) *Result {
	t.Helper()
	s, rate := o.Manifest.Schedule, o.Hosts[0].Up
	full := simulate(t, o)
	dry, err := Dry{Schedule: s, Hosts: o.Hosts, Seat: o.Seat, Topology: o.Manifest.Topology, Payload: int(full.Payload[0]) / 6, Header: aggregator.SignedHeaderSize, Certificate: 300}.Run()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(dry.Payload, full.Payload) {
		t.Errorf("%+v at %g bit/s: payloads %v, the simulation's %v", s, rate, dry.Payload, full.Payload)
	}
	if off := math.Abs(dry.Time.Seconds()/full.Time.Seconds() - 1); off > 0.02 {
		t.Errorf("%+v at %g bit/s: %v, the simulation takes %v", s, rate, dry.Time, full.Time)
	}
	for i := range full.Sent {
		for what, d := range map[string]float64{"sent": float64(dry.Sent[i]) / float64(full.Sent[i]), "received": float64(dry.Received[i]) / float64(full.Received[i])} {
			if part > 0 && math.Abs(d-1) > part {
				t.Errorf("%+v at %g bit/s: worker %d has %s %.3f times the bytes of the simulation", s, rate, i, what, d)
			}
		}
	}
	return full
}

// 1,024 workers with 1 G parameters in int8 over 100 Mbit/s: a round more costs each of them the same as it would cost 8. At the end everybody needs
// everybody's.
func TestPairsCostTheSameWhateverTheNumber(t *testing.T) {
	bytes := func(topology aggregator.Topology, n int, rounds uint64) int64 {
		r, err := Dry{Schedule: aggregator.Schedule{Every: 10, Fragments: 1, Steps: 10 * rounds}, Hosts: slices.Repeat([]Host{{Up: 1e8, Down: 1e8, Step: time.Second}}, n),
			Topology: topology, Payload: 1 << 30, Header: 272}.Run()
		if err != nil {
			t.Fatal(err)
		}
		return slices.Max(r.Sent)
	}
	round := func(topology aggregator.Topology, n int) int64 {
		return (bytes(topology, n, 21) - bytes(topology, n, 1)) / 20
	}
	for _, n := range []int{8, 1024} {
		if got := round(aggregator.Pair, n); math.Abs(float64(got)/(1<<30)-1) > 0.01 {
			t.Errorf("among %d a worker of a run of pairs sends %d bytes a round", n, got)
		}
	}
	if few, many := bytes(aggregator.All, 8, 10), bytes(aggregator.All, 64, 10); many != few/8*64 {
		t.Errorf("a worker sends %d bytes among 8, %d among 64", few, many)
	}
	if last, all := bytes(aggregator.Pair, 64, 1), bytes(aggregator.All, 64, 1); last != all {
		t.Errorf("gathering costs a worker %d bytes, a round of everybody's %d", last, all)
	}
}

func BenchmarkDry1024(b *testing.B) {
	hosts := slices.Repeat([]Host{{Up: 1e8, Down: 1e8, Step: time.Second}}, 1024)
	for b.Loop() {
		if _, err := (Dry{Schedule: aggregator.Schedule{Every: 10, Fragments: 1, Steps: 1000}, Hosts: hosts, Topology: aggregator.All, Payload: 1 << 30, Header: 272}).Run(); err != nil {
			b.Fatal(err)
		}
	}
}
