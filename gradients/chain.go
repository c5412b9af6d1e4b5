package gradients

// Chain applies transforms one after the other, as optax.chain does; Chain() changes nothing.
func Chain(ts ...Transform) Transform { return chain(ts) }

type chain []Transform

func (c chain) Slots() int {
	n := 0
	for _, t := range c {
		n += t.Slots()
	}
	return n
}

func (c chain) Apply(s Step, v, anchor Vec, st []Vec) {
	for _, t := range c {
		n := t.Slots()
		t.Apply(s, v, anchor, st[:n:n])
		st = st[n:]
	}
}
