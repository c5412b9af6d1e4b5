// Package reference defines every kernel of an Engine by plain loops: storage is as the interface says, all arithmetic
// is float64 and nothing is clever. Other engines earn their place by matching it (see enginetest).
package reference

import (
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// Engine is the reference. It is slow on purpose.
type Engine struct {
	hostmem.Memory
}

var _ engine.Engine = (*Engine)(nil)

// New returns a reference engine with no memory yet.
func New() *Engine { return &Engine{} }

// Name says what it is.
func (*Engine) Name() string { return "reference: float64 loops" }

// Class is the reference's numeric class.
func (*Engine) Class() uint16 { return engine.ClassReference }

// Close releases the memory.
func (e *Engine) Close() error {
	e.Release()
	return nil
}

// load is a copy of b, whatever its type.
func load(b engine.Buf) []float64 {
	x := make([]float64, b.Len)
	if b.Type == engine.BF16 {
		for i, v := range hostmem.BFloat16(b) {
			x[i] = float64(engine.FromBF16(v))
		}
		return x
	}
	for i, v := range hostmem.Float32(b) {
		x[i] = float64(v)
	}
	return x
}

// store rounds x to the type of b.
func store(b engine.Buf, x []float64) {
	if b.Type == engine.BF16 {
		to := hostmem.BFloat16(b)
		for i, v := range x {
			to[i] = engine.ToBF16(float32(v))
		}
		return
	}
	to := hostmem.Float32(b)
	for i, v := range x {
		to[i] = float32(v)
	}
}

func i32(b engine.Buf) []int32 { return hostmem.Int32(b) }
