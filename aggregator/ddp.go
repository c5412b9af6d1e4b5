package aggregator

import "github.com/skein-train/skein/gradients"

// DDP is plain data parallel training through the same loop: a round per inner step, the true gradient travels, and the
// optimizer is the outer transform: clipping to clip (0: none), then AdamW at the inner schedule's learning rate. Its
// schedule has Every = Fragments = 1 and no delay. decay tells which ranges of a fragment have weight decay.
func DDP(codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error), adam gradients.AdamWOptions, clip float32,
	decay func(gradients.Layout, gradients.Fragment) [][2]int, lr func(step uint64) float32) Method {
	return Method{
		Name:     "ddp",
		Codec:    codec,
		Gradient: true,
		LR:       lr,
		Outer: func(l gradients.Layout, f gradients.Fragment) gradients.Transform {
			adam := adam
			adam.Decay = decay(l, f)
			if clip == 0 {
				return gradients.AdamW(adam)
			}
			return gradients.Chain(gradients.ClipNorm(clip), gradients.AdamW(adam))
		},
	}
}
