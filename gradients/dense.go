package gradients

import "fmt"

// format is how one codec lays values out as bytes. Frame, zstd stage and sum around it are the same for all.
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

// dense is a Codec that sends every element.
type dense struct {
	name   string
	n      int // elements
	format format
	frame  frame
}

func (c *dense) Name() string { return c.name }
func (c *dense) Slots() int   { return 0 }
func (c *dense) MaxSize() int { return headerSize + c.format.size() }
func (c *dense) NewSum() Sum  { return &denseSum{c: c} }

// Append makes of a vector that is not Finite a payload that every Sum refuses.
func (c *dense) Append(dst []byte, _ Key, v Vec, _ []Vec) []byte {
	dst = c.frame.appendHeader(dst)
	at := len(dst)
	dst = grow(dst, c.format.size())
	c.format.encode(dst[at:], v[:c.n])
	return c.frame.seal(dst, at)
}

// Check is complete for a body as it is. Of a packed one it sees the declared size only, since unpacking is not cheap.
func (c *dense) Check(src []byte) error {
	p, err := c.peek(src)
	if err != nil || p.packed {
		return err
	}
	return c.format.check(p.body)
}

// peek parses the frame and compares the size.
func (c *dense) peek(src []byte) (parcel, error) {
	p, err := c.frame.parse(src)
	if err == nil && p.size != c.format.size() {
		err = fmt.Errorf("%w: body of %d bytes, expected %d", ErrCorrupt, p.size, c.format.size())
	}
	return p, err
}

// denseSum adds payloads of a dense codec into one vector.
type denseSum struct {
	c      *dense
	acc    Vec // Σ weight·value; nil until the first Add
	weight float32
	unpack []byte // a packed body lands here
}

func (s *denseSum) Add(weight float32, src []byte) error {
	if !(weight >= 0 && s.weight+weight <= MaxWeight) {
		return fmt.Errorf("weight %g on top of %g: expected 0 or more, in total at most 2^60", weight, s.weight)
	}
	p, err := s.c.peek(src)
	if err != nil {
		return err
	}
	body, err := s.c.frame.open(p, &s.unpack)
	if err != nil {
		return err
	}
	if err := s.c.format.check(body); err != nil {
		return err
	}
	if s.acc == nil {
		s.acc = make(Vec, s.c.n)
	}
	s.c.format.add(s.acc, weight, body)
	s.weight += weight
	return nil
}

func (s *denseSum) Mean(dst Vec) {
	if s.weight == 0 {
		clear(dst)
		return
	}
	acc := s.acc[:len(dst)]
	for i := range dst {
		dst[i] = acc[i] / s.weight
	}
}
