package gradients

import (
	"fmt"
	"math"

	"github.com/skein-train/skein/internal/codecname"
)

// lowRank is a Codec that sends a matrix M of m×n as two factors of rank r: P of m×r with orthonormal columns, and Q = MᵀP. It stands
// for P·Qᵀ. That is PowerSGD (arXiv 1905.13727, algorithm 1) with factors of each worker's own in place of its two reductions:
// one step of a power iteration at each departure, which begins with the Q of the one before. What is no matrix, or no larger
// than its factors, is sent as it is.
type lowRank struct {
	wire
	parts []factors
	sent  Vec // scratch of Append
}

// factors says how one tensor is sent.
type factors struct {
	off, rows, cols int
	rank            int // 0: as it is
}

func newLowRank(spec codecname.Name, n int, tensors []Tensor) (Codec, error) {
	c := &lowRank{}
	var groups []int
	for _, t := range tensors {
		f := factors{off: t.Off, rows: 1, cols: t.Len()}
		if len(t.Shape) == 2 && spec.Count*(t.Shape[0]+t.Shape[1]) < t.Len() {
			f = factors{off: t.Off, rows: t.Shape[0], cols: t.Shape[1], rank: spec.Count}
			groups = append(groups, f.rows*f.rank, f.cols*f.rank)
		} else {
			groups = append(groups, f.cols)
		}
		c.parts = append(c.parts, f)
	}
	var err error
	c.wire, err = newWire(spec, n, groups, [2]int{})
	return c, err
}

// Slots is one: where a matrix has its elements, the vector has its Q.
func (c *lowRank) Slots() int  { return 1 }
func (c *lowRank) NewSum() Sum { return &lowRankSum{c: c} }

// Append makes of a vector that is not Finite a payload without a body, which every Sum refuses, and leaves st as it is.
func (c *lowRank) Append(dst []byte, _ Key, v Vec, st []Vec) []byte {
	dst = c.frame.appendHeader(dst)
	v = v[:c.n]
	if !Finite(v) {
		return dst
	}
	if c.sent == nil {
		c.sent = make(Vec, c.count)
	}
	sent := c.sent
	for _, f := range c.parts {
		if f.rank == 0 {
			sent = sent[copy(sent, v[f.off:f.off+f.cols]):]
			continue
		}
		p, q := sent[:f.rows*f.rank], st[0][f.off:f.off+f.cols*f.rank]
		f.factorise(p, q, v[f.off:f.off+f.rows*f.cols])
		copy(sent[len(p):], q)
		sent = sent[len(p)+len(q):]
	}
	return c.appendValues(dst, len(dst), c.sent)
}

// factorise takes a step of the power iteration: P ← orthonormal basis of M·Q, Q ← Mᵀ·P. Both have rows of r numbers. Sums are
// taken in float64, in which products of float32 are exact.
func (f factors) factorise(p, q, m Vec) {
	r := f.rank
	f.seed(q)
	wide := make([]float64, f.rows*r)
	for i := range f.rows {
		to := wide[i*r : (i+1)*r]
		for j, x := range m[i*f.cols : (i+1)*f.cols] {
			x := float64(x)
			for c, y := range q[j*r : (j+1)*r] {
				to[c] += float64(x * float64(y))
			}
		}
	}
	orthonormalise(wide, r)
	for i, x := range wide {
		p[i] = float32(x)
	}
	wide = make([]float64, f.cols*r)
	for i := range f.rows {
		from := p[i*r : (i+1)*r]
		for j, x := range m[i*f.cols : (i+1)*f.cols] {
			x, to := float64(x), wide[j*r:(j+1)*r]
			for c, y := range from {
				to[c] += float64(x * float64(y))
			}
		}
	}
	for i, x := range wide {
		q[i] = narrowed(x)
	}
}

// seed fills the columns of Q that are zero, at first or because M had no such direction, with numbers from −1 to 1.
func (f factors) seed(q Vec) {
	for c := range f.rank {
		empty := true
		for j := range f.cols {
			empty = empty && q[j*f.rank+c] == 0
		}
		for j := range f.cols {
			if i := j*f.rank + c; empty {
				q[i] = float32(int64(mix64(uint64(f.off+i)+1))>>40) / (1 << 23)
			}
		}
	}
}

// orthonormalise replaces the r columns of a matrix by an orthonormal basis of what they span (modified Gram-Schmidt). A column
// that adds nothing becomes zero.
func orthonormalise(p []float64, r int) {
	const nothing = 1e-6 // of a column's length: what rounding to float32 leaves of a linear combination
	for c := range r {
		before := columnNorm(p, r, c)
		for d := range c {
			dot := 0.0
			for i := 0; i < len(p); i += r {
				dot += float64(p[i+c] * p[i+d])
			}
			for i := 0; i < len(p); i += r {
				p[i+c] -= float64(dot * p[i+d])
			}
		}
		norm := columnNorm(p, r, c)
		for i := 0; i < len(p); i += r {
			if norm <= nothing*before {
				p[i+c] = 0
			} else {
				p[i+c] /= norm
			}
		}
	}
}

func columnNorm(p []float64, r, c int) float64 {
	s := 0.0
	for i := c; i < len(p); i += r {
		s += float64(p[i] * p[i])
	}
	return math.Sqrt(s)
}

// Check does not look at the size of P's numbers.
func (c *lowRank) Check(src []byte) error {
	_, err := c.check(src)
	return err
}

// lowRankSum adds up products: factors of different workers cannot be added.
type lowRankSum struct {
	c      *lowRank
	acc    Vec // Σ weight·value; nil until the first Add
	weight tally

	sent   Vec // of the payload at hand
	unpack []byte
}

func (s *lowRankSum) Add(weight float32, src []byte) error {
	if err := s.weight.fits(weight); err != nil {
		return err
	}
	_, values, err := s.c.open(src, &s.unpack)
	if err != nil {
		return err
	}
	s.sent = grown(s.sent, s.c.count)
	s.c.values.add(s.sent, 1, values)
	if err := s.c.bounded(s.sent); err != nil {
		return err
	}
	if s.acc == nil {
		s.acc = make(Vec, s.c.n)
	}
	sent := s.sent
	for _, f := range s.c.parts {
		sent = f.add(s.acc[f.off:f.off+f.rows*f.cols], weight, sent)
	}
	s.weight += tally(weight)
	return nil
}

// bounded refuses a P that no orthonormal columns can be rounded to.
func (c *lowRank) bounded(sent Vec) error {
	for i, f := range c.parts {
		n := f.rows * f.rank
		if n > 0 && absMax(sent[:n]) > 2 {
			return fmt.Errorf("%w: lowrank: tensor %d: a factor's column is not of length 1", ErrCorrupt, i)
		}
		if n += f.cols * f.rank; n == 0 {
			n = f.cols
		}
		sent = sent[n:]
	}
	return nil
}

// add adds weight·P·Qᵀ, or weight times the values themselves, to acc and returns what is left of sent.
func (f factors) add(acc Vec, weight float32, sent Vec) Vec {
	r := f.rank
	if r == 0 {
		Axpy(acc, weight, sent[:f.cols])
		return sent[f.cols:]
	}
	p, q := sent[:f.rows*r], sent[f.rows*r:(f.rows+f.cols)*r]
	for i := range f.rows {
		from, to := p[i*r:(i+1)*r], acc[i*f.cols:(i+1)*f.cols]
		for j := range to {
			x, y := float32(0), q[j*r:(j+1)*r]
			for c, a := range from {
				x += float32(a * y[c])
			}
			to[j] += float32(weight * bounded(x))
		}
	}
	return sent[(f.rows+f.cols)*r:]
}

func (s *lowRankSum) Mean(dst Vec) { divide(dst, s.acc, float32(s.weight)) }

// grown returns zeros, n of them, in v's memory if it has room.
func grown(v Vec, n int) Vec {
	if cap(v) < n {
		return make(Vec, n)
	}
	v = v[:n]
	clear(v)
	return v
}
