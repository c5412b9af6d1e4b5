package gradients

// Momentum is the heavy ball: m ← μ·m + v, v ← m. It equals torch.optim.SGD with momentum μ and dampening 0.
func Momentum(mu float32) Transform { return momentum(mu) }

type momentum float32

func (momentum) Slots() int { return 1 }

func (mu momentum) Apply(_ Step, v, _ Vec, st []Vec) {
	m := st[0][:len(v)]
	for i := range v {
		m[i] = float32(float32(mu)*m[i]) + v[i]
		v[i] = m[i]
	}
}
