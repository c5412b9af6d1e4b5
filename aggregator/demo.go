package aggregator

import "github.com/skein-train/skein/gradients"

// DeMo exchanges the strongest frequencies of every gradient and steps along the sign of their mean; what was not sent stays
// in the worker's residual, which decays by beta (Peng, Quesnelle & Kingma 2024, arXiv 2411.19870, algorithm 1). The codec picks
// the frequencies. Its schedule has Every = Fragments = 1 and no delay.
func DeMo(codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error), beta, weightDecay float32,
	decay func(gradients.Layout, gradients.Fragment) [][2]int, lr func(step uint64) float32) Method {
	return Method{
		Name: "demo", Codec: codec, Gradient: true, Feedback: beta, LR: lr,
		Outer: func(l gradients.Layout, f gradients.Fragment) gradients.Transform {
			return gradients.Chain(gradients.Sign(), gradients.Decay(weightDecay, decay(l, f)), gradients.Rate())
		},
	}
}
