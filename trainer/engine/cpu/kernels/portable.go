package kernels

import (
	"math"
	"unsafe"

	"github.com/skein-train/skein/trainer/engine"
)

// portable is the family in plain Go: what runs where there is no assembly, and its dumb twin in tests.
func portable() Set {
	return Set{
		Name: "portable Go",
		Add:  add, Mix: mix, Scale: scale, Dot: dot, SumSquares: sumSquares, Max: maximum,
		SumExp: sumExp, ExpSum: expSum, ExpScale: expScale, SoftmaxGrad: softmaxGrad,
		Norm: norm, NormGradSums: normGradSums, NormGrad: normGrad, NormGradAdd: normGradAdd,
		SwiGLU: swiglu, SwiGLUGrad: swigluGrad, Rotate: rotate, AdamW: adamW,
		Square: square, Side: 4, CopyRows: copyRows, Widen: widen, Narrow: narrow,
		Tiles: Tiles{Cols: 4, Heights: []Height{{4, each(4, tile4)}, {1, each(1, tile1)}}},
	}
}

func add(z, x, y []float32) {
	x, y = x[:len(z)], y[:len(z)]
	for i := range z {
		z[i] = x[i] + y[i]
	}
}

func mix(z, x, y []float32, a, b float32) {
	x, y = x[:len(z)], y[:len(z)]
	for i := range z {
		z[i] = a*x[i] + b*y[i]
	}
}

func scale(y, x []float32, a float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = a * x[i]
	}
}

// Four sums, so that rounding grows as slowly as in the vectorised twins and the additions can overlap.
func dot(x, y []float32) float32 {
	y = y[:len(x)]
	var s [4]float32
	for i := range x {
		s[i%4] += x[i] * y[i]
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func sumSquares(x []float32) (s float64) {
	for _, v := range x {
		s += float64(v) * float64(v)
	}
	return s
}

func maximum(x []float32) float32 {
	top := float32(math.Inf(-1))
	for _, v := range x {
		top = max(top, v)
	}
	return top
}

func sumExp(x []float32, shift float32) float32 {
	var s [4]float32
	for i, v := range x {
		s[i%4] += exp(v - shift)
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func expSum(y, x []float32, shift float32) float32 {
	x = x[:len(y)]
	var s [4]float32
	for i := range y {
		y[i] = exp(x[i] - shift)
		s[i%4] += y[i]
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func expScale(y, x []float32, shift, a float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = a * exp(x[i]-shift)
	}
}

func softmaxGrad(dp, p []float32, lse, mean float32) {
	p = p[:len(dp)]
	for i := range dp {
		p[i] = exp(p[i] - lse)
		dp[i] = p[i] * (dp[i] - mean)
	}
}

func norm(y, x, w []float32, r float32) {
	x, w = x[:len(y)], w[:len(y)]
	for i := range y {
		y[i] = x[i] * r * w[i]
	}
}

func normGradSums(dw, dy, x, w []float32, r float32) float32 {
	dy, x, w = dy[:len(dw)], x[:len(dw)], w[:len(dw)]
	var s [4]float32
	for i := range dw {
		t := dy[i] * x[i]
		dw[i] += t * r
		s[i%4] += t * w[i]
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func normGrad(dx, dy, x, w []float32, r, c float32) {
	dy, x, w = dy[:len(dx)], x[:len(dx)], w[:len(dx)]
	for i := range dx {
		dx[i] = dy[i]*w[i]*r - x[i]*c
	}
}

func normGradAdd(dx, dy, x, w, skip []float32, r, c float32) {
	dy, x, w, skip = dy[:len(dx)], x[:len(dx)], w[:len(dx)], skip[:len(dx)]
	for i := range dx {
		dx[i] = dy[i]*w[i]*r - x[i]*c + skip[i]
	}
}

func swiglu(y, gate, up []float32) {
	gate, up = gate[:len(y)], up[:len(y)]
	for i, g := range gate {
		y[i] = g * sigmoid(g) * up[i]
	}
}

func swigluGrad(dgate, dup, dy, gate, up []float32) {
	dup, dy, gate, up = dup[:len(dgate)], dy[:len(dgate)], gate[:len(dgate)], up[:len(dgate)]
	for i := range dgate {
		g, s := gate[i], sigmoid(gate[i])
		ds := dy[i] * s
		dup[i], dgate[i] = ds*g, ds*up[i]*(1+g*(1-s))
	}
}

func rotate(dst *float32, dstRow int, src *float32, srcRow int, cos, sin *float32, rows, half int, a float32) {
	for r := range rows {
		d, s := unsafe.Slice(offset(dst, r*dstRow), 2*half), unsafe.Slice(offset(src, r*srcRow), 2*half)
		cos, sin := unsafe.Slice(offset(cos, r*half), half), unsafe.Slice(offset(sin, r*half), half)
		for i := range half {
			lo, hi := a*s[i], a*s[i+half]
			d[i], d[i+half] = lo*cos[i]-hi*sin[i], lo*sin[i]+hi*cos[i]
		}
	}
}

func adamW(p, g, m, v []float32, s *AdamW) {
	g, m, v = g[:len(p)], m[:len(p)], v[:len(p)]
	for i := range p {
		gi := s.Scale * g[i]
		m[i] = s.Beta1*m[i] + s.Rest1*gi
		v[i] = s.Beta2*v[i] + s.Rest2*gi*gi
		p[i] = s.Keep*p[i] - s.Rate*m[i]/(float32(math.Sqrt(float64(v[i]*s.Correct2)))+s.Eps)
	}
}

func copyRows(dst *float32, dstRow int, src *float32, srcRow int, rows, cols int) {
	for i := range rows {
		copy(unsafe.Slice(offset(dst, i*dstRow), cols), unsafe.Slice(offset(src, i*srcRow), cols))
	}
}

func widen(dst *float32, dstRow int, src *uint16, srcRow int, rows, cols int) {
	for i := range rows {
		to, from := unsafe.Slice(offset(dst, i*dstRow), cols), unsafe.Slice(offset(src, i*srcRow), cols)
		for j, v := range from {
			to[j] = engine.FromBF16(v)
		}
	}
}

func narrow(dst *uint16, dstRow int, src *float32, srcRow int, rows, cols int) {
	for i := range rows {
		to, from := unsafe.Slice(offset(dst, i*dstRow), cols), unsafe.Slice(offset(src, i*srcRow), cols)
		for j, v := range from {
			to[j] = engine.ToBF16(v)
		}
	}
}

// square has a side of 4.
func square(dst *float32, dstRow int, src *float32, srcRow int) {
	transpose(dst, dstRow, src, srcRow, 4, 4)
}

func sigmoid(x float32) float32 { return 1 / (1 + exp(-x)) }

// exp is e^x to about one unit in the last place: e^x = 2^k·2^f, k whole, |f| ≤ ½, 2^f by a polynomial whose
// coefficients are ln(2)^n/n!.
func exp(x float32) float32 {
	if x < -87 {
		return 0
	}
	t := float64(min(x, 89)) * math.Log2E // 89: past the largest float32 already
	k := math.RoundToEven(t)
	f := float32(t - k)
	p := 1 + f*(0.69314718+f*(0.24022651+f*(0.05550411+f*(0.009618129+f*(0.0013333558+f*0.00015403530)))))
	if k != k {
		return float32(k)
	}
	return p * math.Float32frombits(uint32(int32(k)+127)<<23)
}
