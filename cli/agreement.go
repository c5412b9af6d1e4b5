package cli

import "github.com/skein-train/skein/gradients"

// agreement is the mean cosine between any two of many vectors, of which one is in memory at a time: with unit vectors
// uᵢ it is (‖Σuᵢ‖² − n) / (n(n−1)).
type agreement struct {
	sum gradients.Vec // of the unit vectors
	n   int
}

// add takes one more vector. Zero points nowhere and is left out.
func (a *agreement) add(v gradients.Vec) {
	if norm := gradients.Norm(v); norm > 0 {
		gradients.Axpy(a.sum, float32(1/norm), v)
		a.n++
	}
}

// mean is 1 for fewer than two vectors: one agrees with itself.
func (a *agreement) mean() float64 {
	if a.n < 2 {
		return 1
	}
	norm := gradients.Norm(a.sum)
	return (norm*norm - float64(a.n)) / float64(a.n*(a.n-1))
}
