package graph

import "math"

// normal turns 64 random bits into a standard normal deviate by inverting the distribution function: Wichura's PPND7
// (Applied Statistics 37, 1988, algorithm AS 241), relative error about 1e-7.
//
// It must give the same bits on every machine. So every product is rounded on its own, float64(a*b), lest a compiler fuse it
// into the addition that follows, and the logarithm is written out below: package math's differs between machines.
// Division and square root are exact by IEEE 754.
func normal(bits uint64) float64 {
	const half, scale = 0.5, 1.0 / (1 << 52)
	p := (float64(bits>>12) + half) * scale // in (0, 1), exact
	q := p - half
	if r := 0.180625 - float64(q*q); r >= 0 { // |q| ≤ 0.425
		return q * poly(r, 3.3871327179, 50.434271938, 159.29113202, 59.109374720) /
			poly(r, 1, 17.895169469, 78.757757664, 67.187563600)
	}
	tail := min(p, 1-p)
	r := math.Sqrt(-logarithm(tail))
	var x float64
	if r <= 5 {
		r -= 1.6
		x = poly(r, 1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103) / poly(r, 1, 0.73700164250, 0.12021132975)
	} else {
		r -= 5
		x = poly(r, 6.6579051150, 3.0812263860, 0.42868294337, 0.017337203997) / poly(r, 1, 0.24197894225, 0.012258202635)
	}
	if q < 0 {
		return -x
	}
	return x
}

// poly is c0 + c1·x + c2·x² + …, by Horner's rule.
func poly(x float64, c ...float64) float64 {
	y := c[len(c)-1]
	for i := len(c) - 2; i >= 0; i-- {
		y = float64(y*x) + c[i]
	}
	return y
}

// logarithm is ln x for normal positive x, to about 1e-14: x = f·2^e with f in [√½, √2), ln f = 2·artanh((f−1)/(f+1)).
func logarithm(x float64) float64 {
	f, e := math.Frexp(x)
	if f < math.Sqrt2/2 {
		f, e = f*2, e-1
	}
	s := (f - 1) / (f + 1) // |s| < 0.1716
	z := float64(s * s)
	series := poly(z, 1, 1.0/3, 1.0/5, 1.0/7, 1.0/9, 1.0/11, 1.0/13, 1.0/15, 1.0/17)
	return float64(2*s*series) + float64(float64(e)*math.Ln2)
}
