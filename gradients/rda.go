package gradients

import "math"

// DirectionAverage makes of a codec one whose mean averages directions and lengths apart ("RDA" of Decoupled DiLoCo, arXiv
// 2604.21428): for every tensor that apart picks,
//
//	D = Σw·‖v‖/Σw · u/‖u‖,  u = Σ w·v/‖v‖
//
// and the plain weighted mean for the others. Workers that moved far then weigh no more than those that did not. What travels
// is as before.
func DirectionAverage(c Codec, tensors []Tensor, apart func(Tensor) bool) Codec {
	d := directed{Codec: c}
	for _, t := range tensors {
		d.parts = append(d.parts, directedPart{t.Off, t.Off + t.Len(), apart(t)})
	}
	return d
}

type directed struct {
	Codec
	parts []directedPart
}

// directedPart is one tensor's range.
type directedPart struct {
	lo, hi int
	apart  bool
}

func (c directed) NewSum() Sum {
	n := c.parts[len(c.parts)-1].hi
	return &directedSum{c: c, acc: make(Vec, n), one: make(Vec, n), lengths: make([]float64, len(c.parts))}
}

type directedSum struct {
	c       directed
	acc     Vec       // Σ w·v, or Σ w·v/‖v‖
	one     Vec       // a single payload, decoded
	lengths []float64 // Σ w·‖v‖ of each part
	weight  tally
}

func (s *directedSum) Add(weight float32, src []byte) error {
	sum := s.c.Codec.NewSum()
	if err := sum.Add(weight, src); err != nil {
		return err
	}
	if err := s.weight.fits(weight); err != nil {
		return err
	}
	if s.weight += tally(weight); weight == 0 {
		return nil
	}
	sum.Mean(s.one)
	for i, p := range s.c.parts {
		v, acc, w := s.one[p.lo:p.hi], s.acc[p.lo:p.hi], float64(weight)
		if p.apart {
			length := Norm(v)
			if length == 0 {
				continue
			}
			s.lengths[i] += float64(w * length)
			w /= length
		}
		for j, x := range v {
			acc[j] += float32(float64(x) * w)
		}
	}
	return nil
}

func (s *directedSum) Mean(dst Vec) {
	if s.weight == 0 {
		clear(dst)
		return
	}
	for i, p := range s.c.parts {
		u, factor := s.acc[p.lo:p.hi], 1/float64(s.weight)
		if p.apart {
			if factor = 0; s.lengths[i] > 0 {
				factor = float64(s.lengths[i]/float64(s.weight)) / Norm(u)
			}
			if math.IsInf(factor, 0) || factor != factor { // directions that cancel out
				factor = 0
			}
		}
		for j, x := range u {
			dst[p.lo+j] = float32(float64(x) * factor)
		}
	}
}
