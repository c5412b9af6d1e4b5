package trainer

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// counting is an engine that counts what is taken from it.
type counting struct {
	engine.Engine
	elements int64
}

func (c *counting) Alloc(n int) engine.Buf {
	c.elements += int64(n+15) / 16 * 16
	return c.Engine.Alloc(n)
}

func TestMeasureIsWhatNewTakes(t *testing.T) {
	const vector = 4 * (2*64*32 + 2*(2*32*32+2*16*32+3*48*32+2*32) + 32) // embedding and head, two layers, the last norm
	const hidden = 4 * 2 * (2*32*32 + 2*16*32 + 3*48*32)
	const scalars = 64 // of one step
	for optimizer, moments := range map[string]int64{
		"adamw": 2*vector + scalars,
		"muon":  2*vector - hidden + 4*(2*48*32+2*32*32) + scalars, // one moment less, and working memory for the largest matrix
		"none":  0,
	} {
		e := &counting{Engine: reference.New()}
		data := fake{64, 16, 2}
		o := Options{
			Model:     Model{VocabSize: 64, HiddenSize: 32, IntermediateSize: 48, NumHiddenLayers: 2, NumAttentionHeads: 4, NumKeyValueHeads: 2},
			Fragments: 1, Inner: DefaultInner(), BatchSize: 4, MicroBatchSize: 2, Steps: 1000, Engine: e,
		}
		o.Inner.Optimizer = optimizer
		predicted, err := Measure(o, data)
		if err != nil {
			t.Fatal(err)
		}
		r, err := New(o, data)
		if err != nil {
			t.Fatal(err)
		}
		if got := 4 * e.elements; got != predicted.Total()-predicted.Evaluation || got == 0 {
			t.Errorf("%s: measured %+v, New took %d bytes", optimizer, predicted, got)
		}
		if _, err := r.Evaluate(t.Context(), make([]float32, r.Len()), 0, o.MicroBatchSize); err != nil {
			t.Fatal(err)
		}
		if got := 4 * e.elements; got != predicted.Total() {
			t.Errorf("%s: measured %+v, New and Evaluate took %d bytes", optimizer, predicted, got)
		}
		if predicted.Parameters != vector || predicted.Gradients != vector || predicted.Optimizer != moments {
			t.Errorf("%s: measured %+v, want vectors of %d bytes and an optimizer of %d", optimizer, predicted, vector, moments)
		}
	}
}

// A model that a person can count: one layer of width 2, one head, a context of 3.
func TestFLOPs(t *testing.T) {
	m := Model{VocabSize: 5, HiddenSize: 2, IntermediateSize: 7, NumHiddenLayers: 1, NumAttentionHeads: 1, NumKeyValueHeads: 1}
	// q, k, v, o: 4·2·2 = 16; feed-forward: 3·2·7 = 42; head: 5·2 = 10; attention: 2·3 = 6
	if got, want := FLOPs(m, 3), int64(6*(16+42+10+6)); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}
