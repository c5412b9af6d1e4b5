package reference

import (
	"math"

	"github.com/skein-train/skein/trainer/engine"
)

// CrossEntropy: the mean of lse − logit[target], in nats.
func (*Engine) CrossEntropy(loss, lse, logits, targets engine.Buf, n, v int) {
	ls, xs, ids := f32(lse), f32(logits), i32(targets)
	var sum float64
	for i := range n {
		row := xs[i*v : i*v+v]
		l := logSumExp(widen(row))
		ls[i] = float32(l)
		sum += l - float64(row[ids[i]])
	}
	f32(loss)[0] = float32(sum / float64(n))
}

// CrossEntropyGrad: scale·(softmax − onehot)/N.
func (*Engine) CrossEntropyGrad(dlogits, logits, lse, targets engine.Buf, n, v int, scale float32) {
	ds, ls, xs, ids := f32(dlogits), f32(lse), f32(logits), i32(targets)
	s := float64(scale) / float64(n)
	for i := range n {
		row, l := xs[i*v:i*v+v], float64(ls[i])
		for j, x := range row {
			p := math.Exp(float64(x) - l)
			if j == int(ids[i]) {
				p--
			}
			ds[i*v+j] = float32(s * p)
		}
	}
}

func logSumExp(x []float64) float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, v)
	}
	var s float64
	for _, v := range x {
		s += math.Exp(v - top)
	}
	return top + math.Log(s)
}
