package gradients

// DelayedNesterov lets n asynchronous contributions share one step of the momentum: each moves the parameters by its own n-th part, and
// every n-th one, with the mean of the n, moves the momentum too (Liu et al. 2024, arXiv 2401.09135, algorithm 3 with c = 0):
//
//	B ← B + v;  every n-th time: m ← μ·m + B/n, v ← μ·m + v/n, B ← 0;  else v ← v/n
//
// n equal contributions from one state come to one step of Nesterov. It counts by Step.Outer.
func DelayedNesterov(mu float32, n int) Transform { return delayed{mu, n} }

type delayed struct {
	mu float32
	n  int
}

func (delayed) Slots() int { return 2 }

func (d delayed) Apply(s Step, v, _ Vec, st []Vec) {
	b, m := st[0][:len(v)], st[1][:len(v)]
	n, turn := float32(d.n), s.Outer%uint64(d.n) == 0
	for i, x := range v {
		b[i] += x
		v[i] = x / n
		if turn {
			m[i] = float32(d.mu*m[i]) + b[i]/n
			v[i] += float32(d.mu * m[i])
			b[i] = 0
		}
	}
}
