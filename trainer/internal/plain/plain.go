// Package plain is the model written down once more, for tests: float64, loops, no gradients, nothing shared with the code
// that it checks. Gradients are checked against differences of its losses.
package plain

import (
	"fmt"
	"math"
)

// Mat is a row-major matrix.
type Mat struct {
	Rows, Cols int
	X          []float64
}

// New is a matrix of zeros.
func New(rows, cols int) Mat { return Mat{rows, cols, make([]float64, rows*cols)} }

// Row is row i, shared.
func (m Mat) Row(i int) []float64 { return m.X[i*m.Cols : (i+1)*m.Cols] }

// Embed picks rows of table.
func Embed(table Mat, ids []int32) Mat {
	y := New(len(ids), table.Cols)
	for i, id := range ids {
		copy(y.Row(i), table.Row(int(id)))
	}
	return y
}

// Linear is x·wᵀ.
func Linear(x, w Mat) Mat {
	y := New(x.Rows, w.Rows)
	for i := range y.Rows {
		for j := range y.Cols {
			for k := range x.Cols {
				y.Row(i)[j] += x.Row(i)[k] * w.Row(j)[k]
			}
		}
	}
	return y
}

// Add is x + y.
func Add(x, y Mat) Mat {
	z := New(x.Rows, x.Cols)
	for i := range z.X {
		z.X[i] = x.X[i] + y.X[i]
	}
	return z
}

// RMSNorm scales every row to a root mean square of 1, times w.
func RMSNorm(x Mat, w []float64, eps float64) Mat {
	y := New(x.Rows, x.Cols)
	for i := range x.Rows {
		var sum float64
		for _, v := range x.Row(i) {
			sum += v * v
		}
		for j, v := range x.Row(i) {
			y.Row(i)[j] = v / math.Sqrt(sum/float64(x.Cols)+eps) * w[j]
		}
	}
	return y
}

// HeadNorm is RMSNorm over each query head with wq and each key head with wk; values stay.
func HeadNorm(qkv Mat, wq, wk []float64, heads, kvHeads int, eps float64) Mat {
	y, d := New(qkv.Rows, qkv.Cols), len(wq)
	copy(y.X, qkv.X)
	for i := range y.Rows {
		for h := range heads + kvHeads {
			w := wq
			if h >= heads {
				w = wk
			}
			part := Mat{1, d, y.Row(i)[h*d : (h+1)*d]}
			copy(part.X, RMSNorm(part, w, eps).X)
		}
	}
	return y
}

// SwiGLU is silu(left half)·right half.
func SwiGLU(gu Mat) Mat {
	y := New(gu.Rows, gu.Cols/2)
	for i := range y.Rows {
		for j := range y.Cols {
			g := gu.Row(i)[j]
			y.Row(i)[j] = g / (1 + math.Exp(-g)) * gu.Row(i)[y.Cols+j]
		}
	}
	return y
}

// Attend is rotary embedding and causal softmax attention over rows of q heads | k heads | v heads.
func Attend(qkv Mat, batch, time, heads, kvHeads, headDim int, theta float64) Mat {
	y := New(qkv.Rows, heads*headDim)
	// turn is the rotated slice of head number h among all of a row's heads.
	turn := func(row, pos, h int) []float64 {
		x, out, half := qkv.Row(row)[h*headDim:(h+1)*headDim], make([]float64, headDim), headDim/2
		for i := range half {
			a := float64(pos) * math.Pow(theta, -2*float64(i)/float64(headDim))
			out[i] = x[i]*math.Cos(a) - x[half+i]*math.Sin(a)
			out[half+i] = x[half+i]*math.Cos(a) + x[i]*math.Sin(a)
		}
		return out
	}
	for b := range batch {
		for h := range heads {
			kv := h / (heads / kvHeads)
			for t := range time {
				q, weights, sum := turn(b*time+t, t, h), make([]float64, t+1), 0.0
				for s := range weights {
					var dot float64
					for i, k := range turn(b*time+s, s, heads+kv) {
						dot += q[i] * k
					}
					weights[s] = math.Exp(dot / math.Sqrt(float64(headDim)))
					sum += weights[s]
				}
				for s, w := range weights {
					for i := range headDim {
						y.Row(b*time + t)[h*headDim+i] += w / sum * qkv.Row(b*time + s)[(heads+kvHeads+kv)*headDim+i]
					}
				}
			}
		}
	}
	return y
}

// CrossEntropy is the mean of −log softmax(logits)[target].
func CrossEntropy(logits Mat, targets []int32) float64 {
	var loss float64
	for i, t := range targets {
		var sum float64
		for _, v := range logits.Row(i) {
			sum += math.Exp(v)
		}
		loss += math.Log(sum) - logits.Row(i)[t]
	}
	return loss / float64(len(targets))
}

// Sizes of a Llama-family model and its input.
type Sizes struct {
	Vocab, Hidden, Intermediate, Layers, Heads, KVHeads, Batch, Time int
	Eps, Theta                                                       float64
	Tied, QKNorm                                                     bool
}

// Logits runs the model; tensor returns the parameters of a Hugging Face name.
func Logits(s Sizes, tensor func(name string) []float64, ids []int32) Mat {
	mat := func(name string, rows, cols int) Mat { return Mat{rows, cols, tensor(name)} }
	table, hd := mat("model.embed_tokens.weight", s.Vocab, s.Hidden), s.Hidden/s.Heads
	x := Embed(table, ids)
	for l := range s.Layers {
		name := func(part string) string { return fmt.Sprintf("model.layers.%d.%s.weight", l, part) }
		h := RMSNorm(x, tensor(name("input_layernorm")), s.Eps)
		q, k, v := Linear(h, mat(name("self_attn.q_proj"), s.Hidden, s.Hidden)),
			Linear(h, mat(name("self_attn.k_proj"), s.KVHeads*hd, s.Hidden)), Linear(h, mat(name("self_attn.v_proj"), s.KVHeads*hd, s.Hidden))
		qkv := beside(q, k, v)
		if s.QKNorm {
			qkv = HeadNorm(qkv, tensor(name("self_attn.q_norm")), tensor(name("self_attn.k_norm")), s.Heads, s.KVHeads, s.Eps)
		}
		h = Attend(qkv, s.Batch, s.Time, s.Heads, s.KVHeads, hd, s.Theta)
		x = Add(x, Linear(h, mat(name("self_attn.o_proj"), s.Hidden, s.Hidden)))
		h = RMSNorm(x, tensor(name("post_attention_layernorm")), s.Eps)
		g, u := Linear(h, mat(name("mlp.gate_proj"), s.Intermediate, s.Hidden)), Linear(h, mat(name("mlp.up_proj"), s.Intermediate, s.Hidden))
		x = Add(x, Linear(SwiGLU(beside(g, u)), mat(name("mlp.down_proj"), s.Hidden, s.Intermediate)))
	}
	x = RMSNorm(x, tensor("model.norm.weight"), s.Eps)
	if s.Tied {
		return Linear(x, table)
	}
	return Linear(x, mat("lm_head.weight", s.Vocab, s.Hidden))
}

// beside joins matrices row by row.
func beside(ms ...Mat) Mat {
	cols := 0
	for _, m := range ms {
		cols += m.Cols
	}
	y := Mat{ms[0].Rows, cols, nil}
	for i := range y.Rows {
		for _, m := range ms {
			y.X = append(y.X, m.Row(i)...)
		}
	}
	return y
}

// Slope is the derivative of f at x in direction d, by a central difference of fourth order.
func Slope(f func(x []float64) float64, x, d []float64) float64 {
	const h = 1e-3
	at := func(s float64) float64 {
		y := make([]float64, len(x))
		for i := range y {
			y[i] = x[i] + s*d[i]
		}
		return f(y)
	}
	return (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
}
