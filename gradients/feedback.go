package gradients

import "fmt"

// Error feedback (arXiv 1901.09847, algorithm 2) around any codec. What a payload could not carry stays with the
// worker as its residual and leaves with a later one:
//
//	departure  a ← Δ + β·residual, residual ← 0      Compensate, then Codec.Append
//	landing    residual ← residual + a − v̂           Settle; v̂ = Decoded(payload), zero if the round left it out
//
// The residual is empty while a is on its way, so that a second departure before the first landing sends nothing
// twice, and nothing is lost whatever the round decides.

// Compensate moves the residual into a, which holds the pseudo-gradient: a ← a + β·residual, residual ← 0. With
// β < 1 the rest is forgotten on purpose.
func Compensate(a, residual Vec, beta float32) {
	Axpy(a, beta, residual)
	clear(residual[:len(a)])
}

// Settle returns to the residual what the round did not take from a. decoded is what the payload stood for if it was
// included, and nil if it was not.
func Settle(residual, a, decoded Vec) {
	residual = residual[:len(a)]
	if decoded == nil {
		for i := range residual {
			residual[i] += a[i]
		}
		return
	}
	decoded = decoded[:len(a)]
	for i := range residual {
		residual[i] += a[i] - decoded[i]
	}
}

// Decoded writes to dst what one payload stands for.
func Decoded(c Codec, dst Vec, payload []byte) error {
	sum := c.NewSum()
	if err := sum.Add(1, payload); err != nil {
		return fmt.Errorf("codec %s: %w", c.Name(), err)
	}
	sum.Mean(dst)
	return nil
}
