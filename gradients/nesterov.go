package gradients

// Nesterov is Nesterov's momentum: m ← μ·m + v, v ← v + μ·m. It equals torch.optim.SGD with nesterov=True and
// dampening 0, the outer optimizer of DiLoCo (arXiv 2311.08105, algorithm 1).
func Nesterov(mu float32) Transform { return nesterov(mu) }

type nesterov float32

func (nesterov) Slots() int { return 1 }

func (mu nesterov) Apply(_ Step, v, _ Vec, st []Vec) {
	m := st[0][:len(v)]
	for i := range v {
		m[i] = float32(float32(mu)*m[i]) + v[i]
		v[i] += float32(float32(mu) * m[i])
	}
}
