// Package reference defines every kernel of an Engine by plain loops: storage is float32 as the interface says, all
// arithmetic is float64 and nothing is clever. Other engines earn their place by matching it (see enginetest).
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

func f32(b engine.Buf) []float32 { return hostmem.Float32(b) }
func i32(b engine.Buf) []int32   { return hostmem.Int32(b) }
