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
	e := &counting{Engine: reference.New()}
	defer e.Close()
	data := fake{64, 16, 1}
	o := Options{
		Model:     Model{VocabSize: 64, HiddenSize: 32, IntermediateSize: 48, NumHiddenLayers: 2, NumAttentionHeads: 4, NumKeyValueHeads: 2},
		Fragments: 1, Inner: DefaultInner(), BatchSize: 4, MicroBatchSize: 2, Steps: 1000, Engine: e,
	}
	predicted, err := Measure(o, data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(o, data); err != nil {
		t.Fatal(err)
	}
	if got := 4 * e.elements; got != predicted || got == 0 {
		t.Errorf("measured %d bytes, New took %d", predicted, got)
	}
}
