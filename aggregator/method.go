package aggregator

import "github.com/skein-train/skein/gradients"

// Method is a training method as a value made of parts. The methods differ in parts, not in code: each is a short
// constructor in a file of its own.
type Method struct {
	Name string
	// Codec carries a fragment's pseudo-gradient.
	Codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error)
	// Feedback is β of error feedback: the share of what was not sent that is added to the next pseudo-gradient.
	// 0 drops it.
	Feedback float32
	// Outer turns the mean pseudo-gradient of a fragment into the step that is subtracted from the anchor.
	Outer func(gradients.Layout, gradients.Fragment) gradients.Transform
	// Blend is α: the share of its own progress that a worker keeps when an update lands (arXiv 2501.18512, eq. 3).
	Blend float32
	// LR is the inner learning rate of inner step 1, 2, …, for outer transforms that follow its schedule. It must give
	// the same bits everywhere.
	LR func(step uint64) float32
	// Gradient says that the replica has no inner optimizer: what travels is the gradient itself.
	Gradient bool
}
