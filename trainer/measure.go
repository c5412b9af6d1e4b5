package trainer

import (
	"fmt"

	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine"
)

// Measure says how many bytes of engine memory a replica takes that New would build: parameters, gradients, moments and
// activations. It builds the graph and plans its memory, and allocates none of it. o.Engine is not used.
func Measure(o Options, data shards.Source) (bytes int64, err error) {
	ruler := &ruler{}
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
	elements int64
}

// Alloc implements engine.Engine.
func (r *ruler) Alloc(n int) engine.Buf {
	const line = 16 // elements that allocations are aligned to
	b := engine.Buf{Addr: uintptr(64 + 4*r.elements), Len: n}
	r.elements += int64((n + line - 1) / line * line)
	return b
}
