package gradients

import "math"

// AdamWOptions are the constants of AdamW under torch's names.
type AdamWOptions struct {
	Beta1, Beta2 float64  // e.g. 0.9, 0.95
	Eps          float64  // e.g. 1e-8
	WeightDecay  float64  // e.g. 0.1
	Decay        [][2]int // half-open ranges of the fragment that decay; matrices usually do, norm gains do not
}

// AdamW turns a gradient into the step of torch.optim.AdamW (arXiv 1711.05101, algorithm 2):
//
//	v ← lr · (m̂/(√v̂ + eps) + wd·anchor)
//
// with the learning rate of Step.LR and the bias corrections of step Step.Outer. It is the outer transform of plain
// data parallel training, where an outer step is an optimizer step. Slots: m, then v.
func AdamW(o AdamWOptions) Transform { return adamW(o) }

type adamW AdamWOptions

func (adamW) Slots() int { return 2 }

func (o adamW) Apply(s Step, v, anchor Vec, st []Vec) {
	b1, b2 := float32(o.Beta1), float32(o.Beta2)
	r1, r2 := float32(1-o.Beta1), float32(1-o.Beta2)
	root := float32(math.Sqrt(1 - power(o.Beta2, s.Outer)))
	rate := float32(float64(s.LR) / (1 - power(o.Beta1, s.Outer)))
	eps := float32(o.Eps)

	first, second := st[0][:len(v)], st[1][:len(v)]
	for i, g := range v {
		first[i] = float32(b1*first[i]) + float32(r1*g)
		second[i] = float32(b2*second[i]) + float32(float32(r2*g)*g)
		den := float32(math.Sqrt(float64(second[i])))/root + eps
		v[i] = float32(rate*first[i]) / den
	}
	decay := float32(float64(s.LR) * o.WeightDecay)
	for _, r := range o.Decay {
		Axpy(v[r[0]:r[1]], decay, anchor[r[0]:r[1]])
	}
}

// power is b^n by squaring: math.Pow has other bits on other machines.
func power(b float64, n uint64) float64 {
	p := 1.0
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			p = float64(p * b)
		}
		b = float64(b * b)
	}
	return p
}
