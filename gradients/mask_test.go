package gradients_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
)

// places are where a codec that sends values as they are sends something for this departure.
func places(t *testing.T, codec string, n int, departure uint64) []bool {
	c, _ := codecFor(t, codec, n)
	v, out := make(gradients.Vec, n), make([]bool, n)
	for i := range v {
		v[i] = 1
	}
	must(t, gradients.Decoded(c, v, c.Append(nil, gradients.Key{Departure: departure}, v, nil)))
	for i, x := range v {
		out[i] = x != 0
	}
	return out
}

// Every stretch sends its share, every element has the same chance, and two departures have as much in common as chance has it.
func TestMaskIsFair(t *testing.T) {
	const n, count, of, departures = 10 * 103, 3, 10, 2000
	often, common := make([]int, n), 0
	var last []bool
	for d := range uint64(departures) {
		now := places(t, "mask:3/10+f32", n, d*30)
		for lo := 0; lo < n; lo += of {
			sent := 0
			for i, yes := range now[lo : lo+of] {
				if yes {
					sent++
					often[lo+i]++
					if last != nil && last[lo+i] {
						common++
					}
				}
			}
			if sent != count {
				t.Fatalf("departure %d: %d of a stretch are sent, expected %d", d, sent, count)
			}
		}
		last = now
	}
	const p = float64(count) / of
	spread := math.Sqrt(departures * p * (1 - p))
	for i, k := range often {
		if math.Abs(float64(k)-departures*p) > 5*spread {
			t.Errorf("element %d was sent %d times, expected %g ± %.0f", i, k, departures*p, spread)
		}
	}
	if want := n * p * p * (departures - 1); math.Abs(float64(common)-want) > .02*want {
		t.Errorf("departures share %d places, expected %.0f", common, want)
	}
}

func TestMaskSendsNoPlaces(t *testing.T) {
	c, f := codecFor(t, "mask:1/20+f32", 1000, 21, 3)
	src := c.Append(nil, gradients.Key{Fragment: 0, Departure: 77}, codectest.Values("gaussian", 1, f.Len()), nil)
	if want := 16 + 8 + 4*(50+2+1); len(src) != want || c.MaxSize() != want {
		t.Errorf("%d bytes, at most %d; expected %d", len(src), c.MaxSize(), want)
	}
	if d := binary.LittleEndian.Uint64(src[16:]); d != 77 {
		t.Errorf("departure %d, expected 77", d)
	}
}
