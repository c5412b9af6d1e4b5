package trainer

import (
	"fmt"

	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
)

// Measure says how many bytes of engine memory a replica takes that New would build: parameters, gradients, moments and
// activations. It builds the graph and plans its memory, and allocates none of it. o.Engine only says what it computes in,
// F32 without one.
func Measure(o Options, data shards.Source) (bytes int64, err error) {
	ruler := &ruler{}
	if o.Engine != nil {
		ruler.compute = o.Engine.Compute()
	}
	o.Engine = ruler
	if err := o.Validate(data); err != nil {
		return 0, fmt.Errorf("trainer: %w", err)
	}
	if _, err := build(o, data); err != nil {
		return 0, err
	}
	return 4 * ruler.elements, nil
}

// ruler is an engine that hands out addresses and counts; it computes nothing.
type ruler struct {
	engine.Engine
	compute  engine.Type
	elements int64
}

// Compute implements engine.Engine.
func (r *ruler) Compute() engine.Type { return r.compute }

// Alloc implements engine.Engine.
func (r *ruler) Alloc(n int) engine.Buf {
	const line = 16 // elements that allocations are aligned to
	b := engine.Buf{Addr: uintptr(64 + 4*r.elements), Len: n}
	r.elements += int64((n + line - 1) / line * line)
	return b
}
