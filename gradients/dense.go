package gradients

import "github.com/skein-train/skein/internal/codecname"

// dense is a Codec that sends every element.
type dense struct{ wire }

func newDense(spec codecname.Name, n int, tensors []Tensor) (Codec, error) {
	var groups []int
	for _, t := range tensors {
		groups = append(groups, t.Len())
	}
	w, err := newWire(spec, n, groups, [2]int{})
	if err != nil {
		return nil, err
	}
	return &dense{w}, nil
}

func (c *dense) Slots() int  { return 0 }
func (c *dense) NewSum() Sum { return &denseSum{c: c} }

// Append makes of a vector that is not Finite a payload that every Sum refuses.
func (c *dense) Append(dst []byte, _ Key, v Vec, _ []Vec) []byte {
	dst = c.frame.appendHeader(dst)
	return c.appendValues(dst, len(dst), v[:c.n])
}

func (c *dense) Check(src []byte) error {
	_, err := c.check(src)
	return err
}

// denseSum adds payloads of a dense codec into one vector.
type denseSum struct {
	c      *dense
	acc    Vec // Σ weight·value; nil until the first Add
	weight tally
	unpack []byte // packed values land here
}

func (s *denseSum) Add(weight float32, src []byte) error {
	if err := s.weight.fits(weight); err != nil {
		return err
	}
	_, values, err := s.c.open(src, &s.unpack)
	if err != nil {
		return err
	}
	if s.acc == nil {
		s.acc = make(Vec, s.c.n)
	}
	s.c.values.add(s.acc, weight, values)
	s.weight += tally(weight)
	return nil
}

func (s *denseSum) Mean(dst Vec) { divide(dst, s.acc, float32(s.weight)) }

// divide writes acc/weight to dst, and zeros if the weight is zero.
func divide(dst, acc Vec, weight float32) {
	if weight == 0 {
		clear(dst)
		return
	}
	acc = acc[:len(dst)]
	for i := range dst {
		dst[i] = acc[i] / weight
	}
}
