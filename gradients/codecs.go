package gradients

import (
	"fmt"
	"slices"

	"github.com/skein-train/skein/internal/codecname"
)

// formats lists how values can be written. IDs on the wire are never used again.
var formats = [...]struct {
	name  string
	id    byte
	width int // bytes of one value in the body, for the zstd stage
	build func(groups []int) format
}{
	{"f32", 1, 4, func(groups []int) format { return f32(total(groups)) }},
	{"bf16", 2, 2, func(groups []int) format { return bf16(total(groups)) }},
	{"int8", 3, 1, newInt8},
	{"e3m0", 4, 1, newE3M0},
	{"int4", 5, 1, newInt4},
	{"2bit", 6, 1, new2Bit},
	{"1bit", 7, 1, new1Bit},
}

// Names lists names that New knows: every way to write values, alone and with the zstd stage, and an example of each way to
// send less than everything. Package codecname has the grammar.
func Names() []string {
	var out []string
	for _, suffix := range []string{"", "+zstd"} {
		for _, f := range formats {
			out = append(out, f.name+suffix)
		}
	}
	return append(out, codecname.Examples()[1:]...)
}

// New builds the named codec for one fragment of a layout. The layout must be valid and f one of its Fragments.
func New(name string, l Layout, f Fragment) (Codec, error) {
	spec, err := codecname.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("codec %q: %w", name, err)
	}
	if !slices.Contains(l.Fragments(), f) {
		return nil, fmt.Errorf("codec %s: fragment %d [%d, %d) is not in the layout", name, f.ID, f.Lo, f.Hi)
	}
	tensors := l.In(f)
	switch spec.What {
	case codecname.All:
		return newDense(spec, f.Len(), tensors)
	case codecname.LowRank:
		return newLowRank(spec, f.Len(), tensors)
	default:
		return newSparse(spec, f.Len(), tensors)
	}
}
