package gradients

import (
	"fmt"
	"slices"
	"strings"
)

// zstdSuffix behind a codec's name asks for the zstd stage, e.g. "int8+zstd".
const zstdSuffix = "+zstd"

// formats lists what New can build. The order is the order of Names; IDs on the wire are never used again.
var formats = [...]struct {
	name  string
	id    byte
	width int // bytes of one value in the body
	build func(tensors []Tensor, n int) format
}{
	{"f32", 1, 4, func(_ []Tensor, n int) format { return f32(n) }},
	{"bf16", 2, 2, func(_ []Tensor, n int) format { return bf16(n) }},
	{"int8", 3, 1, func(ts []Tensor, _ int) format { return newInt8(ts) }},
}

// Names lists the codecs that New knows.
func Names() []string {
	var out []string
	for _, f := range formats {
		out = append(out, f.name)
	}
	for _, f := range formats {
		out = append(out, f.name+zstdSuffix)
	}
	return out
}

// New builds the named codec for one fragment of a layout. The layout must be valid and f one of its Fragments.
func New(name string, l Layout, f Fragment) (Codec, error) {
	if !slices.Contains(l.Fragments(), f) {
		return nil, fmt.Errorf("codec %s: fragment %d [%d, %d) is not in the layout", name, f.ID, f.Lo, f.Hi)
	}
	base, packed := strings.CutSuffix(name, zstdSuffix)
	for _, k := range formats {
		if k.name != base {
			continue
		}
		c := &dense{name: name, n: f.Len(), format: k.build(l.In(f), f.Len())}
		c.frame = frame{id: k.id, n: c.n, maxBody: c.format.size()}
		if packed {
			p, err := newPacker(k.width)
			if err != nil {
				return nil, fmt.Errorf("codec %s: %w", name, err)
			}
			c.frame.pack = p
		}
		return c, nil
	}
	return nil, fmt.Errorf("codec %q is not known; use one of %s", name, strings.Join(Names(), ", "))
}
