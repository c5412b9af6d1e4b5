package reference

import "github.com/skein-train/skein/trainer/engine"

// Add: z = x + y.
func (*Engine) Add(z, x, y engine.Buf) {
	zs, xs, ys := f32(z), f32(x), f32(y)
	for i := range zs {
		zs[i] = xs[i] + ys[i]
	}
}

// MatMul: C = op(A)·op(B), or C + op(A)·op(B).
func (*Engine) MatMul(c, a, b engine.Buf, transA, transB bool, m, n, k int, accumulate bool) {
	cs, as, bs := f32(c), f32(a), f32(b)
	ai, ap := strides(transA, m, k)
	bp, bj := strides(transB, k, n)
	for i := range m {
		for j := range n {
			var s float64
			if accumulate {
				s = float64(cs[i*n+j])
			}
			for p := range k {
				s += float64(as[i*ai+p*ap]) * float64(bs[p*bp+j*bj])
			}
			cs[i*n+j] = float32(s)
		}
	}
}

// strides are the steps along the first and the second index of op(X), [rows, cols].
func strides(trans bool, rows, cols int) (first, second int) {
	if trans {
		return 1, rows
	}
	return cols, 1
}

// Embed: y[i] = table[ids[i]].
func (*Engine) Embed(y, table, ids engine.Buf, n, d int) {
	ys, ts := f32(y), f32(table)
	for i, id := range i32(ids)[:n] {
		copy(ys[i*d:i*d+d], ts[int(id)*d:int(id)*d+d])
	}
}

// EmbedGrad: dtable[ids[i]] += dy[i], in the order of i. The sums of a row are kept in float64 until the end.
func (*Engine) EmbedGrad(dtable, dy, ids engine.Buf, n, d int) {
	ts, gs := f32(dtable), f32(dy)
	sums := map[int32][]float64{}
	for i, id := range i32(ids)[:n] {
		row := sums[id]
		if row == nil {
			row = widen(ts[int(id)*d : int(id)*d+d])
			sums[id] = row
		}
		for j := range row {
			row[j] += float64(gs[i*d+j])
		}
	}
	for id, row := range sums {
		narrow(ts[int(id)*d:], row)
	}
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func narrow(dst []float32, x []float64) {
	for i, v := range x {
		dst[i] = float32(v)
	}
}
