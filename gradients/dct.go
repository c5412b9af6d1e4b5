package gradients

import "math"

// dct is the orthonormal cosine transform (DCT-II, and DCT-III back) of tiles, as DeMo uses it (arXiv 2411.19870).
// It computes in float64 with its own tables, rounding after every operation, so that the way back has the same bits everywhere.
type dct struct {
	plans map[int]*dctPlan
	a, b  []float64 // scratch: a tile
}

// dctPlan has the tables for one length.
type dctPlan struct {
	n     int
	scale []float64 // √(1/n) for coefficient 0, √(2/n) for the others
	half  *dctPlan  // for even n: the plan of n/2,
	sec   []float64 // and 1 / (2·cos(π(i+½)/n))
	cos   []float64 // for odd n: cos(π(i+½)k/n) at [k·n + i]
}

// newDCT prepares the lengths of all chunks.
func newDCT(grids []grid) *dct {
	d := &dct{plans: map[int]*dctPlan{}}
	longest := 0
	for _, g := range grids {
		d.plan(g.h)
		d.plan(g.w)
		longest = max(longest, g.h*g.w)
	}
	d.a, d.b = make([]float64, longest), make([]float64, longest)
	return d
}

func (d *dct) plan(n int) *dctPlan {
	if p, ok := d.plans[n]; ok {
		return p
	}
	p := &dctPlan{n: n, scale: make([]float64, n)}
	for k := range p.scale {
		p.scale[k] = math.Sqrt(2 / float64(n))
	}
	p.scale[0] = math.Sqrt(1 / float64(n))
	d.plans[n] = p
	if n%2 == 0 {
		p.half = d.plan(n / 2)
		for i := range n / 2 {
			p.sec = append(p.sec, 1/(2*cosine(2*i+1, 2*n)))
		}
		return p
	}
	for k := range n {
		for i := range n {
			p.cos = append(p.cos, cosine((2*i+1)*k, 2*n))
		}
	}
	return p
}

// forward replaces a tile of h rows and w columns by its coefficients.
func (d *dct) forward(x Vec, h, w int) {
	a, b := d.a[:len(x)], d.b[:len(x)]
	for i, f := range x {
		a[i] = float64(f)
	}
	rows, cols := d.plans[h], d.plans[w]
	rows.forward(a, b, w)
	transpose(b, a, h, w)
	cols.forward(b, a, h)
	for r := range h {
		for c := range w {
			x[r*w+c] = narrowed(float64(float64(b[c*h+r]*rows.scale[r]) * cols.scale[c]))
		}
	}
}

// inverse replaces coefficients by the tile.
func (d *dct) inverse(x Vec, h, w int) {
	a, b := d.a[:len(x)], d.b[:len(x)]
	rows, cols := d.plans[h], d.plans[w]
	for r := range h {
		for c := range w {
			b[c*h+r] = float64(float64(float64(x[r*w+c])*rows.scale[r]) * cols.scale[c])
		}
	}
	cols.inverse(b, a, h)
	transpose(a, b, w, h)
	rows.inverse(a, b, w)
	for i, f := range a {
		x[i] = narrowed(f)
	}
}

// narrowed rounds to float32, within what a payload may carry.
func narrowed(x float64) float32 {
	return float32(min(max(x, -MaxMagnitude), MaxMagnitude))
}

// transpose writes src, of h rows and w columns, to dst with rows and columns exchanged.
func transpose(dst, src []float64, h, w int) {
	for r := range h {
		for c, x := range src[r*w : (r+1)*w] {
			dst[c*h+r] = x
		}
	}
}

// forward transforms p.n rows of m numbers each along the columns, not scaled: X_k = Σ_i x_i·cos(π(i+½)k/n). Sums of the first
// and the last, second and second last, … row have the even coefficients; from their differences, divided by 2·cos(π(i+½)/n), come the
// sums of neighbouring odd ones (B. G. Lee, IEEE Trans. ASSP 32, 1984).
func (p *dctPlan) forward(a, tmp []float64, m int) {
	n := p.n
	if n == 1 {
		return
	}
	if p.half == nil {
		p.sum(tmp, a, m, func(k, i int) float64 { return p.cos[k*n+i] })
		copy(a, tmp[:n*m])
		return
	}
	h := n / 2
	for i, sec := range p.sec {
		x, y := line(a, i, m), line(a, n-1-i, m)
		even, odd := line(tmp, i, m), line(tmp, h+i, m)
		for j, x := range x {
			y := y[j]
			even[j], odd[j] = x+y, float64((x-y)*sec)
		}
	}
	p.half.forward(tmp[:h*m], a[:h*m], m)
	p.half.forward(tmp[h*m:n*m], a[h*m:n*m], m)
	for i := range h {
		copy(line(a, 2*i, m), line(tmp, i, m))
		odd, this := line(a, 2*i+1, m), line(tmp, h+i, m)
		if i+1 == h {
			copy(odd, this)
			break
		}
		next := line(tmp, h+i+1, m)
		for j, x := range this {
			odd[j] = x + next[j]
		}
	}
}

// inverse undoes the steps of forward in reverse order, and transposes the base: x_i = Σ_k X_k·cos(π(i+½)k/n).
func (p *dctPlan) inverse(a, tmp []float64, m int) {
	n := p.n
	if n == 1 {
		return
	}
	if p.half == nil {
		p.sum(tmp, a, m, func(i, k int) float64 { return p.cos[k*n+i] })
		copy(a, tmp[:n*m])
		return
	}
	h := n / 2
	for i := range h {
		copy(line(tmp, i, m), line(a, 2*i, m))
		odd, this := line(tmp, h+i, m), line(a, 2*i+1, m)
		if i == 0 {
			copy(odd, this)
			continue
		}
		last := line(a, 2*i-1, m)
		for j, x := range this {
			odd[j] = last[j] + x
		}
	}
	p.half.inverse(tmp[:h*m], a[:h*m], m)
	p.half.inverse(tmp[h*m:n*m], a[h*m:n*m], m)
	for i, sec := range p.sec {
		first, last := line(a, i, m), line(a, n-1-i, m)
		even, odd := line(tmp, i, m), line(tmp, h+i, m)
		for j, x := range even {
			y := float64(odd[j] * sec)
			first[j], last[j] = x+y, x-y
		}
	}
}

// sum writes to row r of dst the sum over all rows i of src, in order, times c(r, i).
func (p *dctPlan) sum(dst, src []float64, m int, c func(r, i int) float64) {
	for r := range p.n {
		to := line(dst, r, m)
		clear(to)
		for i := range p.n {
			f := c(r, i)
			for j, x := range line(src, i, m) {
				to[j] += float64(f * x)
			}
		}
	}
}

// line is row i of rows of m numbers.
func line(a []float64, i, m int) []float64 { return a[i*m : (i+1)*m : (i+1)*m] }

// cosine is cos(πj/n) for j ≥ 0, by arithmetic alone: a library's function may differ in its last bit from machine to machine.
func cosine(j, n int) float64 {
	j %= 2 * n
	if j > n {
		j = 2*n - j
	}
	switch {
	case 2*j > n:
		return -cosine(n-j, n)
	case 4*j > n: // cos x = sin(π/2 − x)
		return sineSeries(math.Pi * float64(n-2*j) / float64(2*n))
	}
	return cosineSeries(math.Pi * float64(j) / float64(n))
}

// cosineSeries is 1 − x²/2·(1 − x²/12·(1 − x²/30·…)) with nine factors, for x up to π/4.
func cosineSeries(x float64) float64 {
	s := 1.0
	for k := 18; k > 0; k -= 2 {
		s = 1 - float64(float64(x*x)/float64(k*(k-1))*s)
	}
	return s
}

// sineSeries is x·(1 − x²/6·(1 − x²/20·…)) with nine factors, for x up to π/4.
func sineSeries(x float64) float64 {
	s := 1.0
	for k := 19; k > 1; k -= 2 {
		s = 1 - float64(float64(x*x)/float64(k*(k-1))*s)
	}
	return float64(x * s)
}
