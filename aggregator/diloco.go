package aggregator

import "github.com/skein-train/skein/gradients"

// DiLoCo lets every worker take H inner steps from the common anchor and takes Nesterov's step along the mean
// pseudo-gradient (arXiv 2311.08105, algorithm 1). With fragments, delay and blend it is Streaming DiLoCo.
func DiLoCo(codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error), lr, momentum, blend, feedback float32) Method {
	return Method{
		Name:     "diloco",
		Codec:    codec,
		Feedback: feedback,
		Blend:    blend,
		Outer: func(gradients.Layout, gradients.Fragment) gradients.Transform {
			if momentum == 0 {
				return gradients.Scale(lr)
			}
			return gradients.Chain(gradients.Nesterov(momentum), gradients.Scale(lr))
		},
	}
}
