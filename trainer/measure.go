package trainer

import (
	"fmt"

	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/graph"
)

// Footprint is the engine memory of a replica, in bytes.
type Footprint struct {
	Parameters  int64 `json:"parameters"`
	Gradients   int64 `json:"gradients"`
	Optimizer   int64 `json:"optimizer"`   // moments and working memory
	Activations int64 `json:"activations"` // of one micro-batch, with their gradients; tokens and targets
	Engine      int64 `json:"engine"`      // packed weights, rows of logits, room for one call; 0 if the engine does not say
	Evaluation  int64 `json:"evaluation"`  // taken by the first Evaluate or Generate
}

// Total is all of it.
func (f Footprint) Total() int64 {
	return f.Parameters + f.Gradients + f.Optimizer + f.Activations + f.Engine + f.Evaluation
}

// Measure says how much engine memory a replica takes that New would build. It builds the graph and plans its memory, and
// allocates none of it. o.Engine is asked what it computes in, F32 without one, and what it needs itself (engine.Spender).
func Measure(o Options, data shards.Source) (Footprint, error) {
	ruler, inner := &ruler{}, &ruler{} // inner: for the optimizer alone
	if o.Engine != nil {
		ruler.compute = o.Engine.Compute()
	}
	spender, _ := o.Engine.(engine.Spender)
	o.Engine = ruler
	if err := o.Validate(data); err != nil {
		return Footprint{}, fmt.Errorf("trainer: %w", err)
	}
	r, err := build(o, data)
	if err != nil {
		return Footprint{}, err
	}
	vector := 4 * aligned(r.Len())
	if _, err := o.Inner.build(inner, r.layout); err != nil {
		return Footprint{}, fmt.Errorf("trainer: %w", err)
	}
	f := Footprint{Parameters: vector, Gradients: vector, Optimizer: 4 * inner.elements}
	f.Activations = 4*ruler.elements - f.Total()
	taken := ruler.elements
	params := ruler.Alloc(r.Len())
	loss, err := graph.Loss(ruler, r.shape(o.MicroBatchSize), params, r.arena)
	if err != nil {
		return Footprint{}, fmt.Errorf("trainer: %w", err)
	}
	f.Evaluation = 4 * (ruler.elements - taken)
	if spender != nil {
		t := r.training()
		f.Engine = packed(spender, t.Weights, t.Uses) + spender.Room(t)
		f.Evaluation += packed(spender, loss.Weights(), 1)
	}
	return f, nil
}

func packed(e engine.Spender, weights []*engine.Weight, uses int) (bytes int64) {
	for _, w := range weights {
		bytes += e.Packed(w, uses)
	}
	return bytes
}

// FLOPs is the arithmetic of one trained token, forward and backward, by the usual count: 6 for every weight that is multiplied
// with (the layers' matrices and the head; the embedding is only looked up), and 6·layers·heads·head dim·seqLen for
// attention, whose causal half is all that counts. Norms, activations and the optimizer are left out.
func FLOPs(m Model, seqLen int) int64 {
	width := m.NumAttentionHeads * m.HeadDim()
	layer := m.QKVSize()*m.HiddenSize + width*m.HiddenSize + 3*m.HiddenSize*m.IntermediateSize
	weights := m.NumHiddenLayers*layer + m.VocabSize*m.HiddenSize
	return 6 * (int64(weights) + int64(m.NumHiddenLayers)*int64(width)*int64(seqLen))
}

// ruler is an engine that hands out addresses and counts; it computes nothing.
type ruler struct {
	engine.Engine
	compute  engine.Type
	elements int64
}

// Compute implements engine.Engine.
func (r *ruler) Compute() engine.Type { return r.compute }

// aligned is n elements up to the next multiple of what allocations are aligned to.
func aligned(n int) int64 {
	const line = 16
	return int64((n + line - 1) / line * line)
}

// Alloc implements engine.Engine.
func (r *ruler) Alloc(n int) engine.Buf {
	b := engine.Buf{Addr: uintptr(64 + 4*r.elements), Len: n}
	r.elements += aligned(n)
	return b
}
