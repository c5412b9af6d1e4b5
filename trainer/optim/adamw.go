package optim

import (
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/engine"
)

// adamW is AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) in torch.optim.AdamW's formula, on some of the tensors.
type adamW struct {
	first, second engine.Buf // those tensors end to end
	stretches     []stretch
	config        engine.AdamW
	engine        engine.Engine
}

// stretch is a run of neighbouring tensors: [lo, hi) of the parameters, from at on in the moments.
type stretch struct {
	lo, hi, at int
	decay      [][2]int // ranges that weight decay applies to, counted from lo, neighbours merged
}

func newAdamW(e engine.Engine, tensors []gradients.Tensor, c Config, s scalars) *adamW {
	stretches, n := stretchesOf(tensors)
	config := engine.AdamW{Beta1: c.Beta1, Beta2: c.Beta2, Eps: c.Eps, WeightDecay: c.WeightDecay, Step: s.step.Slice(0, engine.StepScalars)}
	return &adamW{first: e.Alloc(n), second: e.Alloc(n), stretches: stretches, config: config, engine: e}
}

// stretchesOf merges neighbours; n is the number of elements in all.
func stretchesOf(tensors []gradients.Tensor) (out []stretch, n int) {
	for _, t := range tensors {
		if len(out) == 0 || out[len(out)-1].hi != t.Off {
			out = append(out, stretch{lo: t.Off, hi: t.Off, at: n})
		}
		s := &out[len(out)-1]
		if len(t.Shape) >= 2 {
			s.decays(t.Off-s.lo, t.Len())
		}
		s.hi += t.Len()
		n += t.Len()
	}
	return out, n
}

func (s *stretch) decays(from, n int) {
	if last := len(s.decay) - 1; last >= 0 && s.decay[last][1] == from {
		s.decay[last][1] += n
		return
	}
	s.decay = append(s.decay, [2]int{from, from + n})
}

func (a *adamW) moments() []Moment { return []Moment{{Buf: a.first}, {Buf: a.second, Squares: true}} }

func (*adamW) products() []engine.Product { return nil }

func (a *adamW) flops() int64 { return 14 * int64(a.first.Len) }

func (a *adamW) update(params, grads engine.Buf) {
	for _, t := range a.stretches {
		p, g, end := params.Slice(t.lo, t.hi), grads.Slice(t.lo, t.hi), t.at+t.hi-t.lo
		a.engine.AdamW(p, g, a.first.Slice(t.at, end), a.second.Slice(t.at, end), t.decay, a.config)
	}
}
