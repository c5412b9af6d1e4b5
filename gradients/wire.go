package gradients

import (
	"fmt"

	"github.com/skein-train/skein/internal/codecname"
)

// format is how values are laid out as bytes. Frame, zstd stage and sum around it are the same for all, and so is what a
// codec sends: all values of a fragment, some of them, or others that stand for them. Values come in groups, a tensor's
// each; what is shared (a scale, a codebook) is shared within a group.
type format interface {
	// size is the length of every valid body in bytes.
	size() int
	// encode fills body, which is size bytes long. Values that are not Finite must leave a mark that check refuses.
	encode(body []byte, v Vec)
	// check refuses a body of the right size with values that no encoder writes.
	check(body []byte) error
	// add adds weight times the values of a checked body to acc.
	add(acc Vec, weight float32, body []byte)
}

// whatID is the header's number for what is sent.
func whatID(what string) byte {
	switch what {
	case codecname.TopK:
		return 1
	case codecname.Mask:
		return 2
	case codecname.DCT:
		return 3
	case codecname.LowRank:
		return 4
	}
	return 0
}

// wire is the part of a codec that knows bytes.
type wire struct {
	name   string
	n      int // elements of the fragment
	count  int // values in a payload
	values format
	frame  frame
}

// newWire builds it for values in these groups behind a head of so many bytes.
func newWire(spec codecname.Name, n int, groups []int, head [2]int) (wire, error) {
	w := wire{name: spec.String(), n: n, count: total(groups)}
	for _, f := range formats {
		if f.name != spec.Values {
			continue
		}
		w.values = f.build(groups)
		w.frame = frame{id: f.id, what: whatID(spec.What), n: n, head: head, values: w.values.size()}
		if spec.Zstd {
			p, err := newPacker(f.width)
			if err != nil {
				return wire{}, fmt.Errorf("codec %s: %w", w.name, err)
			}
			w.frame.pack = p
		}
	}
	return w, nil
}

func (w *wire) Name() string { return w.name }
func (w *wire) MaxSize() int { return w.frame.maxSize() }

// appendValues encodes values behind dst and finishes the payload, whose head begins at dst[at].
func (w *wire) appendValues(dst []byte, at int, v Vec) []byte {
	values := len(dst)
	dst = grow(dst, w.values.size())
	w.values.encode(dst[values:], v)
	return w.frame.seal(dst, at)
}

// check looks at a payload and returns its head. Values as they are it checks completely; of packed ones it sees the
// declared size only, since unpacking is not cheap.
func (w *wire) check(src []byte) (head []byte, err error) {
	p, err := w.frame.parse(src)
	if err == nil && !p.packed {
		err = w.values.check(p.values)
	}
	return p.head, err
}

// open returns a payload's head and its values, checked, unpacked into *buf where needed.
func (w *wire) open(src []byte, buf *[]byte) (head, values []byte, err error) {
	p, err := w.frame.parse(src)
	if err != nil {
		return nil, nil, err
	}
	values, err = w.frame.open(p, buf)
	if err != nil {
		return nil, nil, err
	}
	return p.head, values, w.values.check(values)
}

// tally is the total weight of a sum.
type tally float32

// fits refuses a weight that is none, or one too many.
func (t tally) fits(weight float32) error {
	if !(weight >= 0 && float32(t)+weight <= MaxWeight) {
		return fmt.Errorf("weight %g on top of %g: expected 0 or more, in total at most 2^60", weight, float32(t))
	}
	return nil
}
