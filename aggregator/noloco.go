package aggregator

import "github.com/skein-train/skein/gradients"

// NoLoCo has no all-reduce: in every round each worker meets one other, if the run's topology is Pair, and goes along the mean of
// both pseudo-gradients and towards the mean of both anchors (arXiv 2506.10911, algorithm 1; n = 2):
//
//	m ← α·m + β·Δ̄ + γ·(φ − φ̄);   φ ← φ − m
//
// in descent directions. The codec is for twice the model: anchors travel too.
func NoLoCo(codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error), alpha, beta, gamma float32) Method {
	return Method{
		Name: "noloco", Codec: codec, Private: true, Pull: gamma / beta,
		Outer: func(gradients.Layout, gradients.Fragment) gradients.Transform {
			return gradients.Chain(gradients.Scale(beta), gradients.Momentum(alpha))
		},
	}
}
