package trainer

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
)

// curve is a training run that PyTorch took in float64, from the weights that graph.Init gives for Seed.
// scripts/curve-torch --golden writes testdata/curve.
type curve struct {
	Model                     Model
	Inner                     Inner
	Steps                     uint64
	BatchSize, MicroBatchSize int
	Length                    int `json:"SeqLen"`
	Seed                      uint64
	Tokens                    []int32   // [Steps·BatchSize, SeqLen+1]
	Losses                    []float64 // of every step, before its update
}

var _ shards.Source = curve{}

func (c curve) Sequence(dst []int32, position uint64) error {
	copy(dst, c.Tokens[int(position)*len(dst):])
	return nil
}
func (c curve) Validation(dst []int32, index int) error { return c.Sequence(dst, uint64(index)) }
func (c curve) Validations() int                        { return 1 }
func (c curve) Vocab() int                              { return c.Model.VocabSize }
func (c curve) SeqLen() int                             { return c.Length }

func (c curve) options(e engine.Engine) Options {
	return Options{
		Model: c.Model, Fragments: 1, Inner: c.Inner, BatchSize: c.BatchSize, MicroBatchSize: c.MicroBatchSize,
		Steps: c.Steps, Seed: c.Seed, Engine: e,
	}
}

func TestLossCurveIsPyTorchs(t *testing.T) {
	tolerance := map[string]float64{"": 1e-4, "bf16": 5e-2} // of the loss, at every step
	for _, o := range []engine.Options{
		{Kind: "reference"}, {Kind: "cpu", Threads: 2}, {Kind: "cpu", Library: "onednn"}, {Kind: "cpu", Library: "openblas"},
		{Kind: "cpu", Library: "accelerate"}, {Kind: "cpu", Library: "builtin"}, {Kind: "cpu", Library: "gonum"},
		{Kind: "cpu", Precision: "bf16"}, {Kind: "cpu", Library: "builtin", Precision: "bf16"},
	} {
		for _, name := range []string{"plain", "grouped", "normed"} {
			t.Run(o.Kind+o.Library+o.Precision+"/"+name, func(t *testing.T) {
				e, err := auto.Open(o)
				if err != nil {
					t.Skip(err)
				}
				defer e.Close()
				c := readCurve(t, name)
				r, err := New(c.options(e), c)
				if err != nil {
					t.Fatal(err)
				}
				begin(t, r, shards.Seat{Count: c.Steps * uint64(c.BatchSize)})
				for step, want := range c.Losses {
					loss, err := r.Step(context.Background())
					if err != nil {
						t.Fatal(err)
					}
					if math.Abs(loss-want) > tolerance[o.Precision]*want {
						t.Fatalf("%s: the loss of step %d is %.6f, PyTorch's %.6f", e.Name(), step, loss, want)
					}
				}
			})
		}
	}
}

func readCurve(t *testing.T, name string) (c curve) {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", "curve", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(src, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
