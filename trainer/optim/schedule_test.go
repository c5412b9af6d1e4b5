package optim

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"
)

func TestSchedules(t *testing.T) {
	base := ScheduleConfig{Peak: 2, MinRatio: 0.1, Warmup: 4, Total: 24}
	for kind, points := range map[string]map[uint64]float64{
		"constant": {0: 0.5, 3: 2, 4: 2, 1000: 2},
		"cosine":   {0: 0.5, 1: 1, 3: 2, 4: 2, 9: 1.1 + 0.9*math.Sqrt2/2, 14: 1.1, 19: 1.1 - 0.9*math.Sqrt2/2, 24: 0.2, 1000: 0.2},
		"wsd":      {0: 0.5, 1: 1, 3: 2, 4: 2, 14: 2, 15: 1.82, 19: 1.1, 23: 0.38, 24: 0.2, 1000: 0.2},
	} {
		c := base
		c.Kind, c.Decay = kind, 10
		lr, err := c.Build()
		if err != nil {
			t.Fatal(err)
		}
		for step, want := range points {
			if got := lr(step); math.Abs(got-want) > 1e-12 {
				t.Errorf("%s: step %d has %g, want %g", kind, step, got, want)
			}
		}
	}
}

func TestWSDDecaysOverAFifthByDefault(t *testing.T) {
	lr, err := ScheduleConfig{Kind: "wsd", Peak: 1, Total: 100}.Build()
	if err != nil {
		t.Fatal(err)
	}
	if lr(80) != 1 || math.Abs(lr(90)-0.5) > 1e-12 {
		t.Errorf("step 80: %g, step 90: %g", lr(80), lr(90))
	}
}

func TestScheduleWithoutWarmupAndOfLengthZero(t *testing.T) {
	for _, kind := range []string{"constant", "cosine"} {
		lr, err := ScheduleConfig{Kind: kind, Peak: 1, MinRatio: 0.5}.Build()
		if err != nil {
			t.Fatal(err)
		}
		if got := lr(0); math.IsNaN(got) || got < 0.5 {
			t.Errorf("%s: %g", kind, got)
		}
	}
}

// Where the outer optimizer follows the schedule its bits are shared state: they must be the same on every machine.
func TestScheduleGolden(t *testing.T) {
	h := sha256.New()
	for _, kind := range []string{"constant", "cosine", "wsd"} {
		lr, err := ScheduleConfig{Kind: kind, Peak: 3e-3, MinRatio: 0.1, Warmup: 30, Total: 400}.Build()
		if err != nil {
			t.Fatal(err)
		}
		for step := range uint64(450) {
			h.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(lr(step))))
		}
	}
	const want = "2c022d9850b110a27f470d6e4db7400d1b231efa20381a1b1519bf479818bc03"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("the rates have hash %s, want %s", got, want)
	}
}
