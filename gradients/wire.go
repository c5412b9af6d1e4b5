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

// whats are the IDs of what is sent, in the header.
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

// wire is the part of a codec that knows bytes: a frame around a head, which says what the values stand for, and the values.
type wire struct {
	name   string
	n      int // elements of the fragment
	values format
	count  int    // values in a payload
	head   [2]int // bytes of the shortest and the longest head
	frame  frame
}

// newWire builds it for values in these groups behind a head of so many bytes.
func newWire(spec codecname.Name, n int, groups []int, head [2]int) (wire, error) {
	w := wire{name: spec.String(), n: n, count: total(groups), head: head}
	for _, f := range formats {
		if f.name != spec.Values {
			continue
		}
		w.values = f.build(groups)
		w.frame = frame{id: f.id, what: whatID(spec.What), n: n, maxBody: head[1] + w.values.size()}
		if spec.Zstd {
			p, err := newPacker(f.width, w.values.size())
			if err != nil {
				return wire{}, fmt.Errorf("codec %s: %w", w.name, err)
			}
			w.frame.pack = p
		}
	}
	return w, nil
}

func (w *wire) Name() string { return w.name }
func (w *wire) MaxSize() int { return headerSize + w.frame.maxBody }

// peek parses the frame and compares the size.
func (w *wire) peek(src []byte) (parcel, error) {
	p, err := w.frame.parse(src)
	least, most := w.head[0]+w.values.size(), w.frame.maxBody
	if err == nil && (p.size < least || p.size > most) {
		err = fmt.Errorf("%w: body of %d bytes, expected %d to %d", ErrCorrupt, p.size, least, most)
	}
	return p, err
}

// split cuts a body that peek has measured into head and values.
func (w *wire) split(body []byte) (head, values []byte) {
	at := len(body) - w.values.size()
	return body[:at], body[at:]
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
