package gradients

// Step tells a Transform where the run is.
type Step struct {
	Inner uint64  // inner steps done by now, from 1
	Outer uint64  // outer steps done with this fragment, this one included, from 1
	LR    float32 // the inner learning rate at Inner, for transforms that follow its schedule
}

// Transform rewrites an outer gradient in place into the direction that is subtracted from the anchor, as optax's
// gradient transformations do. Its memory is vectors owned by the caller, so that snapshot, resume and compare come free.
type Transform interface {
	// Slots is the number of state vectors, each as long as the fragment and zero at first.
	Slots() int
	// Apply rewrites v. anchor holds the parameters before the step (not to be written); len(v) == len(anchor) == len(st[i]).
	Apply(s Step, v, anchor Vec, st []Vec)
}
