package gradients

// Sign keeps of every value its sign: −1, 0 or 1.
func Sign() Transform { return sign{} }

type sign struct{}

func (sign) Slots() int { return 0 }

func (sign) Apply(_ Step, v, _ Vec, _ []Vec) {
	for i, x := range v {
		switch {
		case x > 0:
			v[i] = 1
		case x < 0:
			v[i] = -1
		}
	}
}
