package ops

import (
	"fmt"

	"github.com/chewxy/hm"
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Value is engine memory as Gorgonia sees it: a shape, a type and an address that nobody but the engine may follow.
// The same graph therefore runs on host and on device memory.
type Value struct {
	buf   engine.Buf // Type is known from the start, Addr and Len once it is placed
	shape tensor.Shape
	dtype tensor.Dtype
	fixed bool // has memory of its own for as long as the program lives: inputs, parameters, gradients, results
}

var _ gorgonia.Value = (*Value)(nil)

// Buf is the memory behind the value.
func (v *Value) Buf() engine.Buf { return v.buf }

// Fixed says whether the value came with memory of its own. All others get theirs from the memory plan, by Place.
func (v *Value) Fixed() bool { return v.fixed }

// Place gives a value that is not fixed its memory, from that word of mem on.
func (v *Value) Place(mem engine.Buf, word int) {
	if v.fixed {
		panic(fmt.Sprintf("ops: a value of shape %v has memory of its own", v.shape))
	}
	v.buf = mem.At(word, v.Size(), v.buf.Type)
}

// Words is its size in words of 4 bytes.
func (v *Value) Words() int { return v.buf.Type.Words(v.Size()) }

// like is a further value of the same kind, not fixed.
func (v *Value) like() *Value { return typed(v.buf.Type, v.shape...) }

// Shape implements gorgonia.Value.
func (v *Value) Shape() tensor.Shape { return v.shape }

// Size is the number of elements. To Gorgonia all floats are of one type, whatever the engine's.
func (v *Value) Size() int { return v.shape.TotalSize() }

// Dtype implements gorgonia.Value.
func (v *Value) Dtype() tensor.Dtype { return v.dtype }

// Uintptr is opaque, see engine.Buf.
func (v *Value) Uintptr() uintptr { return v.buf.Addr }

// MemSize is in bytes.
func (v *Value) MemSize() uintptr { return uintptr(4 * v.Words()) }

// Data panics: engine memory is not host memory. Use engine.Download.
func (v *Value) Data() any { panic("ops: engine memory has no host data; use engine.Download") }

// Type implements gorgonia.Typer.
func (v *Value) Type() hm.Type {
	if v.shape.Dims() == 0 {
		return v.dtype
	}
	return gorgonia.TensorType{Dims: v.shape.Dims(), Of: v.dtype}
}

// Format prints shape and address, never contents.
func (v *Value) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "%v%v@%x", v.dtype, v.shape, v.buf.Addr)
}
