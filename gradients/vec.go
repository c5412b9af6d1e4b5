// Package gradients holds what moves between workers: vectors and their layout, the transforms of the outer
// optimizer, and the codecs that carry a pseudo-gradient as bytes. It knows no network, no disk, no clock and no graph.
//
// Signs: a pseudo-gradient is Δ = θ_start − θ_end, a descent direction, and the outer update is θ ← θ − η·d.
//
// Bits: everything on the way from bytes to shared state must give the same bits on every machine. Products are
// written float32(a*b) so that no compiler fuses them into the addition that follows, sums run in one order, and no
// function of package math other than Sqrt takes part.
package gradients

import (
	"fmt"
	"slices"
)

// Vec is a model's tensors end to end, in Layout order, or the part of them that a Fragment covers.
type Vec []float32

// Tensor is one named tensor inside a Vec.
type Tensor struct {
	Name     string // Hugging Face name, e.g. "model.layers.0.mlp.up_proj.weight"
	Shape    []int  // row-major, outermost first; matrices are [out, in]
	Off      int    // first element in the Vec
	Fragment int    // ID of the fragment that it travels in
}

// Len is the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Fragment is a half-open range [Lo, Hi) of a Vec that is exchanged as one.
type Fragment struct{ ID, Lo, Hi int }

// Len is the number of elements that the fragment covers.
func (f Fragment) Len() int { return f.Hi - f.Lo }

// Of cuts the fragment out of a whole Vec; the result shares memory with v.
func (f Fragment) Of(v Vec) Vec { return v[f.Lo:f.Hi:f.Hi] }

// Layout lists a model's tensors in the order of the Vec. Tensors lie end to end without gaps, and the tensors of
// a fragment are neighbours; fragment IDs count 0, 1, 2, … along the Vec.
type Layout []Tensor

// Len is the number of elements of the whole Vec: the model's parameters.
func (l Layout) Len() int {
	if len(l) == 0 {
		return 0
	}
	last := l[len(l)-1]
	return last.Off + last.Len()
}

// Fragments returns the ranges that are exchanged as one, by ID.
func (l Layout) Fragments() []Fragment {
	var out []Fragment
	for _, t := range l {
		if len(out) == 0 || out[len(out)-1].ID != t.Fragment {
			out = append(out, Fragment{ID: t.Fragment, Lo: t.Off, Hi: t.Off})
		}
		out[len(out)-1].Hi = t.Off + t.Len()
	}
	return out
}

// In returns the tensors of one fragment with offsets that count from the fragment's start.
func (l Layout) In(f Fragment) []Tensor {
	var out []Tensor
	for _, t := range l {
		if t.Fragment == f.ID {
			t.Off -= f.Lo
			out = append(out, t)
		}
	}
	return out
}

// Find returns the tensor of that name.
func (l Layout) Find(name string) (Tensor, bool) {
	i := slices.IndexFunc(l, func(t Tensor) bool { return t.Name == name })
	if i < 0 {
		return Tensor{}, false
	}
	return l[i], true
}

// Validate reports the first tensor that breaks the rules of a Layout.
func (l Layout) Validate() error {
	off, frag, seen := 0, 0, map[string]bool{}
	for i, t := range l {
		switch {
		case t.Name == "" || seen[t.Name]:
			return fmt.Errorf("layout: tensor %d: name %q is empty or used twice", i, t.Name)
		case len(t.Shape) == 0 || slices.Min(t.Shape) < 1:
			return fmt.Errorf("layout: tensor %s: shape %v has no elements", t.Name, t.Shape)
		case t.Off != off:
			return fmt.Errorf("layout: tensor %s starts at %d, the one before it ends at %d", t.Name, t.Off, off)
		case t.Fragment != frag && !(i > 0 && t.Fragment == frag+1):
			return fmt.Errorf("layout: tensor %s is in fragment %d, expected %d or the next", t.Name, t.Fragment, frag)
		}
		seen[t.Name], off, frag = true, off+t.Len(), t.Fragment
	}
	return nil
}
