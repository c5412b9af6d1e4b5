package gradients

import (
	"fmt"
	"math"

	"github.com/skein-train/skein/internal/codecname"
)

// picker decides which values of a fragment travel, and how the head says so.
type picker interface {
	// groups is the number of values that each tensor sends: the same in every payload.
	groups() []int
	// head is the size of the shortest and the longest head in bytes.
	head() (least, most int)
	// pick fills at with places, sent with their values, both as long as all groups, and appends the head to dst.
	pick(dst []byte, at []uint32, sent, v Vec, k Key) []byte
	// read checks a hostile head and fills at with places, all inside of the fragment and no two the same; nil is not filled.
	read(at []uint32, head []byte) error
	// restore turns a vector of values in their places into what they stand for.
	restore(v Vec)
}

// sparse is a Codec that sends some values and where they are.
type sparse struct {
	wire
	picker  picker
	senders bool // a place's mean counts only who sent it

	at   []uint32 // scratch of Append
	sent Vec
}

func newSparse(spec codecname.Name, n int, tensors []Tensor) (Codec, error) {
	if n > math.MaxUint32 {
		return nil, fmt.Errorf("codec %s: a fragment of %d elements is too long; raise sync.fragments", spec, n)
	}
	var p picker
	switch {
	case spec.What == codecname.TopK && spec.Tiles:
		share, of := spec.Count, spec.Of*spec.Of
		p = newTopK(tiled(tensors, spec.Of, func(n int) int { return max(1, (2*n*share+of)/(2*of)) }), nil)
	case spec.What == codecname.TopK:
		var grids []grid
		for _, t := range tensors {
			grids = append(grids, runs(t, spec.Count, spec.Of))
		}
		p = newTopK(grids, nil)
	case spec.What == codecname.DCT:
		grids := tiled(tensors, spec.Of, func(n int) int { return min(n, spec.Count) })
		p = newTopK(grids, newDCT(grids))
	case spec.What == codecname.Mask:
		p = mask{tensors: tensors, count: spec.Count, of: spec.Of}
	}
	least, most := p.head()
	w, err := newWire(spec, n, p.groups(), [2]int{least, most})
	if err != nil {
		return nil, err
	}
	return &sparse{wire: w, picker: p}, nil
}

func tiled(tensors []Tensor, side int, count func(n int) int) []grid {
	var out []grid
	for _, t := range tensors {
		out = append(out, tiles(t, side, count))
	}
	return out
}

func (c *sparse) Slots() int  { return 0 }
func (c *sparse) NewSum() Sum { return &sparseSum{c: c} }

// Append makes of a vector that is not Finite a payload without a body, which every Sum refuses: what is wrong with it
// might not be among what is sent.
func (c *sparse) Append(dst []byte, k Key, v Vec, _ []Vec) []byte {
	dst = c.frame.appendHeader(dst)
	v = v[:c.n]
	if !Finite(v) {
		return dst
	}
	if c.sent == nil {
		c.at, c.sent = make([]uint32, c.count), make(Vec, c.count)
	}
	at := len(dst)
	dst = c.picker.pick(dst, c.at, c.sent, v, k)
	return c.appendValues(dst, at, c.sent)
}

func (c *sparse) Check(src []byte) error {
	head, err := c.check(src)
	if err != nil {
		return err
	}
	return c.picker.read(nil, head)
}

// sparseSum adds payloads value by value into one vector, whatever their number. A list of the places that anybody sent
// would be shorter at first only: with N peers it grows N-fold, has to be merged, and its mean is a whole vector all the same.
type sparseSum struct {
	c      *sparse
	acc    Vec // Σ weight·value; nil until the first Add
	who    Vec // Σ weight of who sent this place; only if the mean wants it
	weight tally

	at     []uint32 // of the payload at hand, with its values times weight
	sent   Vec
	unpack []byte
}

func (s *sparseSum) Add(weight float32, src []byte) error {
	if err := s.weight.fits(weight); err != nil {
		return err
	}
	head, values, err := s.c.open(src, &s.unpack)
	if err != nil {
		return err
	}
	if s.at == nil {
		s.at, s.sent = make([]uint32, s.c.count), make(Vec, s.c.count)
	}
	if err := s.c.picker.read(s.at, head); err != nil {
		return err
	}
	if s.acc == nil {
		s.acc = make(Vec, s.c.n)
	}
	clear(s.sent)
	s.c.values.add(s.sent, weight, values)
	for i, p := range s.at {
		s.acc[p] += s.sent[i]
	}
	s.weight += tally(weight)
	if s.c.senders {
		if s.who == nil {
			s.who = make(Vec, s.c.n)
		}
		for _, p := range s.at {
			s.who[p] += weight
		}
	}
	return nil
}

func (s *sparseSum) Mean(dst Vec) {
	if s.who == nil {
		divide(dst, s.acc, float32(s.weight))
	} else {
		for i := range dst {
			dst[i] = 0
			if s.who[i] != 0 {
				dst[i] = s.acc[i] / s.who[i]
			}
		}
	}
	if s.weight != 0 {
		s.c.picker.restore(dst)
	}
}

// BySender returns c with another mean: at every place it counts only the payloads that sent it, as the public code of
// SparseLoCo does (scatter_reduce with "mean"), so that a value which one of N peers sent is not divided by N. The paper's mean
// (arXiv 2508.15706), which is the default, counts all of them. A codec that sends everything is returned as it is; another
// one must not be used beside the result.
func BySender(c Codec) Codec {
	s, ok := c.(*sparse)
	if !ok {
		return c
	}
	other := *s
	other.senders = true
	return &other
}
