package optim

import (
	"math"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/engine"
)

// rmsOfAdamW is what the elements of an update by AdamW come to, as a root mean square and in units of the learning rate
// (arXiv 2502.16982, section 2.2).
const rmsOfAdamW = 0.2

// muon is Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) on matrices W [out, in], each by itself, with the
// gradient G after clipping and momentum μ:
//
//	B ← μ·B + (1−μ)·G                                         as torch.optim.Muon has it; O does not depend on the factor 1−μ
//	O = orthogonalise(μ·B + (1−μ)·G)                          Nesterov
//	W ← (1 − lr·λ)·W − lr·0.2·√max(out, in)·O
//
// The factor before O is that of Liu et al. 2025 (arXiv 2502.16982, section 2.2), "match_rms_adamw" in PyTorch: the elements
// of a matrix with orthonormal rows or columns have a root mean square of 1/√max(out, in), and with the factor 0.2 whatever
// the shape, as AdamW's updates have it. One learning rate and one weight decay therefore serve both rules. There is no
// bias correction: the size of B does not matter.
type muon struct {
	momentum   engine.Buf // B of all matrices end to end
	matrices   []matrix
	orthogonal *orthogonaliser
	old        float64 // μ
	scalars    scalars
	engine     engine.Engine
}

// matrix is a tensor [rows, cols] at lo in the parameters and at at in the momentum.
type matrix struct{ rows, cols, lo, at int }

func newMuon(e engine.Engine, tensors []gradients.Tensor, c Config, s scalars) *muon {
	m, n := &muon{old: c.Momentum, scalars: s, engine: e}, 0
	for _, t := range tensors {
		m.matrices = append(m.matrices, matrix{t.Shape[0], t.Shape[1], t.Off, n})
		n += t.Len()
	}
	m.momentum, m.orthogonal = e.Alloc(n), newOrthogonaliser(e, m.matrices)
	return m
}

func (m *muon) moments() []Moment { return []Moment{{Buf: m.momentum}} }

func (m *muon) products() (all []engine.Product) {
	for _, t := range m.matrices {
		all = append(all, orthogonaliseProducts(t.rows, t.cols)...)
	}
	return all
}

func (m *muon) flops() (sum int64) {
	for _, p := range m.products() {
		sum += quinticSteps * p.FLOPs()
	}
	return sum
}

func (m *muon) update(params, grads engine.Buf) {
	old, fresh := engine.Number(m.old), m.scalars.at(engine.StepScale, 1-m.old)
	for _, t := range m.matrices {
		n := t.rows * t.cols
		w, g, b := params.Slice(t.lo, t.lo+n), grads.Slice(t.lo, t.lo+n), m.momentum.Slice(t.at, t.at+n)
		x := m.orthogonal.x.Slice(0, n)
		m.engine.Mix(b, old, b, fresh, g)
		m.engine.Mix(x, old, b, fresh, g)
		m.orthogonal.run(t.rows, t.cols)
		m.engine.Mix(w, m.scalars.at(muonKeep, 1), w, m.scalars.at(muonRate, math.Sqrt(float64(max(t.rows, t.cols)))), x)
	}
}
