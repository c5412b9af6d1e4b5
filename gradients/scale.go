package gradients

// Scale multiplies by a: the outer learning rate at the end of a Chain.
func Scale(a float32) Transform { return scale(a) }

type scale float32

func (scale) Slots() int { return 0 }

func (a scale) Apply(_ Step, v, _ Vec, _ []Vec) {
	for i := range v {
		v[i] *= float32(a)
	}
}
