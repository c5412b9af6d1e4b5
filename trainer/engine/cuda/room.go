package cuda

import (
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/cublaslt"
)

var (
	_ engine.Spender  = (*Engine)(nil)
	_ engine.Reserver = (*Engine)(nil)
)

// Packed implements engine.Spender: a weight's copy in bfloat16.
func (*Engine) Packed(w *engine.Weight, _ int) int64 { return lines(narrowed(w.Out, w.In)) }

// Room implements engine.Spender.
func (e *Engine) Room(t engine.Training) (bytes int64) {
	for _, n := range e.needs(t) {
		bytes += lines(n.bytes)
	}
	a := t.Attention
	return bytes + 2*lines(4*int64(a.Time)*int64(a.HeadDim)/2) + small // cosines and sines; what is left of a block that small ones share
}

// Reserve implements engine.Reserver.
func (e *Engine) Reserve(t engine.Training) {
	for _, n := range e.needs(t) {
		e.room(n.slot, n.bytes)
	}
}

// need is what calls need of a slot at most.
type need struct {
	slot  *slot
	bytes int64
}

func (e *Engine) needs(t engine.Training) []need {
	s, a, head := &e.slots, t.Attention, t.Head()
	left, right, parts := e.roomForProducts(t)
	rows, wide := int64(t.Tokens), int64(wideOf(a.HeadDim))
	logits := int64(headRows(t.Tokens, head.Out, e.mostLogits)) * int64(ceil(head.Out, 8)*8)
	sums := max(4*rowsOf(t.Tokens, head.In).parts(), 4*headsOf(a).parts(), 8*squareParts(t.Parameters))
	all := []need{
		{&s.left, left}, {&s.right, right}, {&s.parts, parts},
		{&s.q, 2 * rows * int64(a.Heads) * wide}, {&s.k, 2 * rows * int64(a.KVHeads) * wide}, {&s.mean, 4 * rows * int64(a.Heads)},
		{&s.logits, 4 * logits}, {&s.losses, 4 * rows}, {&s.sums, int64(sums)},
	}
	if a.HeadDim%8 != 0 { // they cannot be read where they lie
		all = append(all, need{&s.v, narrowed(t.Tokens*a.KVHeads, a.HeadDim)}, need{&s.dy, narrowed(t.Tokens*a.Heads, a.HeadDim)})
	}
	if e.library != nil {
		all = append(all, need{&s.workspace, cublaslt.Workspace})
	}
	return all
}

// roomForProducts is, in bytes, what the factors of products take that cannot be read where they lie, and products in parts.
func (e *Engine) roomForProducts(t engine.Training) (left, right, parts int64) {
	copied := func(cols int) int64 {
		if cols%8 == 0 {
			return 0
		}
		return narrowed(t.Tokens, cols)
	}
	passes := func(w *engine.Weight, rows int) { // forward, back, and the gradient
		parts = max(parts, mostParts(rows, w.Out, w.In), mostParts(rows, w.In, w.Out), mostParts(w.Out, w.In, rows))
	}
	last, head := len(t.Weights)-1, t.Head()
	left = copied(head.In)
	for _, w := range t.Weights[:last] {
		left, right = max(left, copied(w.In), copied(w.Out)), max(right, copied(w.In))
		passes(w, t.Tokens)
	}
	passes(head, headRows(t.Tokens, head.Out, e.mostLogits))
	for _, p := range t.Products {
		if onTensorCores(p.M, p.N, p.K) {
			left, right = max(left, splitBytes(p.M, p.K)), max(right, splitBytes(p.N, p.K))
			parts = max(parts, mostParts(p.M, p.N, 3*ceil(p.K, 8)*8))
		}
	}
	return left, right, parts
}

// lines is what the arena takes for that many bytes.
func lines(bytes int64) int64 { return (bytes + line - 1) / line * line }
