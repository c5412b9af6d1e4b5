package gradients

import (
	"encoding/binary"
	"fmt"
)

// Both encodes two vectors of one fragment, one behind the other, each by the codec: for methods whose contributions carry
// more than a pseudo-gradient. The payload is the length of the first part (uint32), the first part, the second part.
// A codec with private slots cannot be doubled.
func Both(c Codec, n int) (Codec, error) {
	if c.Slots() > 0 {
		return nil, fmt.Errorf("codec %s: it keeps vectors of its own, which two parts cannot share", c.Name())
	}
	return both{c, n}, nil
}

type both struct {
	Codec
	n int // elements of each part
}

const bothHeader = 4 // bytes

func (c both) MaxSize() int { return bothHeader + 2*c.Codec.MaxSize() }

func (c both) Append(dst []byte, k Key, v Vec, _ []Vec) []byte {
	at := len(dst)
	dst = c.Codec.Append(append(dst, 0, 0, 0, 0), k, v[:c.n], nil)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-bothHeader))
	return c.Codec.Append(dst, k, v[c.n:2*c.n], nil)
}

// parts cuts a payload.
func (c both) parts(src []byte) (first, second []byte, err error) {
	if len(src) < bothHeader || len(src) > c.MaxSize() {
		return nil, nil, fmt.Errorf("%w: %d bytes, expected %d to %d", ErrCorrupt, len(src), bothHeader, c.MaxSize())
	}
	n, rest := binary.LittleEndian.Uint32(src), src[bothHeader:]
	if uint64(n) > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("%w: a first part of %d bytes in %d", ErrCorrupt, n, len(rest))
	}
	return rest[:n], rest[n:], nil
}

func (c both) Check(src []byte) error {
	first, second, err := c.parts(src)
	if err == nil {
		err = c.Codec.Check(first)
	}
	if err == nil {
		err = c.Codec.Check(second)
	}
	return err
}

func (c both) NewSum() Sum { return &bothSum{c, c.Codec.NewSum(), c.Codec.NewSum()} }

type bothSum struct {
	c             both
	first, second Sum
}

// Add leaves both sums as they were on an error: what the trial sum takes, the second one takes too.
func (s *bothSum) Add(weight float32, src []byte) error {
	first, second, err := s.c.parts(src)
	if err != nil {
		return err
	}
	if err := s.c.Codec.NewSum().Add(weight, second); err != nil {
		return err
	}
	if err := s.first.Add(weight, first); err != nil {
		return err
	}
	return s.second.Add(weight, second)
}

// Mean fills both halves of dst.
func (s *bothSum) Mean(dst Vec) {
	s.first.Mean(dst[:s.c.n])
	s.second.Mean(dst[s.c.n : 2*s.c.n])
}
