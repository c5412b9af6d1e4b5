package gradients

// Decay adds λ times the parameters on the given ranges [lo, hi): decoupled weight decay, if Rate follows.
func Decay(lambda float32, ranges [][2]int) Transform { return decay{lambda, ranges} }

type decay struct {
	lambda float32
	ranges [][2]int
}

func (decay) Slots() int { return 0 }

func (d decay) Apply(_ Step, v, anchor Vec, _ []Vec) {
	for _, r := range d.ranges {
		Axpy(v[r[0]:r[1]], d.lambda, anchor[r[0]:r[1]])
	}
}

// Rate multiplies by the inner learning rate of the step.
func Rate() Transform { return rate{} }

type rate struct{}

func (rate) Slots() int { return 0 }

func (rate) Apply(s Step, v, _ Vec, _ []Vec) {
	for i := range v {
		v[i] *= s.LR
	}
}
