package gradients

import "math"

// MaxMagnitude is the largest absolute value that a payload may carry. No gradient comes near it; the bound keeps
// weighted sums far from overflow, whose NaN has other bits on amd64 than on arm64.
const MaxMagnitude = 1 << 64

// MaxWeight bounds the total weight of one Sum, so that MaxMagnitude · MaxWeight is still a finite float32.
const MaxWeight = 1 << 60

const (
	absMask = 1<<31 - 1  // clears the sign of a float32's bits
	maxBits = 0x5f800000 // the bits of MaxMagnitude; below them the bits of positive floats count upwards
)

// Finite reports whether every value is a number of magnitude at most MaxMagnitude: what decoders accept. It does
// not stop early, so that the loop has no branch.
func Finite(v Vec) bool {
	var bad uint32
	for _, x := range v {
		bad |= beyond(math.Float32bits(x))
	}
	return bad>>31 == 0
}

// beyond has its top bit set if the float32 with these bits is NaN, infinite or larger than MaxMagnitude.
func beyond(bits uint32) uint32 { return maxBits - bits&absMask }

// Axpy adds a·x to y. The product is rounded before the addition. len(x) must be at least len(y).
func Axpy(y Vec, a float32, x Vec) {
	x = x[:len(y)]
	for i := range y {
		y[i] += float32(a * x[i])
	}
}

// Sub writes a − b to dst, which may be either of them. a and b must be at least as long as dst.
func Sub(dst, a, b Vec) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

// Blend writes α·local + (1−α)·anchor to dst, which may be either of them: the merge of Streaming DiLoCo
// (arXiv 2501.18512, eq. 3). α = 0 copies anchor and α = 1 copies local, bit for bit.
func Blend(dst, local, anchor Vec, alpha float32) {
	switch alpha {
	case 0:
		copy(dst, anchor)
		return
	case 1:
		copy(dst, local)
		return
	}
	local, anchor, rest := local[:len(dst)], anchor[:len(dst)], 1-alpha
	for i := range dst {
		dst[i] = float32(alpha*local[i]) + float32(rest*anchor[i])
	}
}

// Norm is the Euclidean norm, summed in float64 over four interleaved lanes in a fixed order.
func Norm(v Vec) float64 {
	var s [4]float64
	for ; len(v) >= 4; v = v[4:] {
		s[0] += square(v[0])
		s[1] += square(v[1])
		s[2] += square(v[2])
		s[3] += square(v[3])
	}
	for i, x := range v {
		s[i] += square(x)
	}
	return math.Sqrt((s[0] + s[1]) + (s[2] + s[3]))
}

func square(x float32) float64 { return float64(float64(x) * float64(x)) }
