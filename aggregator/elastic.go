package aggregator

import "github.com/skein-train/skein/gradients"

// Elastic is DiLoCo that merges whoever came in time: a round closes some grace after a quorum is in (Manifest.MinPeers and Grace), and
// matrices average directions and lengths apart, so that workers that did different amounts of work mix well (Decoupled DiLoCo,
// arXiv 2604.21428). Embedding and head take the plain weighted mean. With feedback, late work counts in the next round.
func Elastic(codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error), lr, momentum, feedback float32, hidden func(gradients.Tensor) bool) Method {
	m := DiLoCo(func(l gradients.Layout, f gradients.Fragment) (gradients.Codec, error) {
		c, err := codec(l, f)
		if err != nil {
			return nil, err
		}
		return gradients.DirectionAverage(c, l.In(f), hidden), nil
	}, lr, momentum, 0, feedback)
	m.Name = "elastic"
	return m
}
