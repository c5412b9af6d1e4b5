package aggregator

import "github.com/skein-train/skein/gradients"

// SparseLoCo sends the largest few numbers of every chunk of the pseudo-gradient, keeps the rest for later, and subtracts the
// mean as it is (Sarfi et al. 2025, arXiv 2508.15706, algorithm 1). The codec picks and quantises; beta is the share of
// the residual that is kept.
func SparseLoCo(codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error), lr, beta float32) Method {
	m := DiLoCo(codec, lr, 0, 0, beta)
	m.Name = "sparseloco"
	return m
}
