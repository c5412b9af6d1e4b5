package cuda

import "github.com/skein-train/skein/trainer/engine"

var _ engine.Spender = (*Engine)(nil)

// Packed implements engine.Spender: a weight's copy in bfloat16.
func (*Engine) Packed(w *engine.Weight, _ int) int64 { return lines(narrowed(w.Out, w.In)) }

// Room implements engine.Spender.
func (e *Engine) Room(head *engine.Weight, _, tokens int, a engine.Attention) (bytes int64) {
	rows, d, wide := int64(tokens), int64(a.HeadDim), int64(wideOf(a.HeadDim))
	bytes += lines(2 * busy * 128 * 128 * 4)           // gradients of weights in parts
	bytes += lines(2 * rows * int64(a.Heads) * wide)   // queries
	bytes += lines(2 * rows * int64(a.KVHeads) * wide) // keys
	if d%8 != 0 {                                      // values and dy, which cannot be read where they lie
		bytes += lines(narrowed(tokens*a.KVHeads, a.HeadDim)) + lines(narrowed(tokens*a.Heads, a.HeadDim))
	}
	bytes += lines(4*rows*int64(a.Heads)) + 2*lines(4*int64(a.Time)*d/2) // dy·y, cosines and sines
	logits := int64(headRows(tokens, head.Out, e.mostLogits)) * int64(ceil(head.Out, 8)*8)
	return bytes + lines(4*logits) + lines(4*rows)
}

// lines is what the arena takes for that many bytes.
func lines(bytes int64) int64 { return (bytes + line - 1) / line * line }
