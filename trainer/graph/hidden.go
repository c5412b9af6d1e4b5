package graph

import "github.com/skein-train/skein/gradients"

// Hidden tells whether t is a matrix between hidden activations: projections of attention and feed-forward, neither embedding nor
// head, whose rows belong to single tokens, nor a norm.
func Hidden(t gradients.Tensor) bool {
	return len(t.Shape) == 2 && t.Name != nameEmbed && t.Name != nameHead
}
