package gradients_test

import (
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
)

// The unit is one million parameters: Mparam/s.
func BenchmarkCodecs(b *testing.B) {
	const n = 1 << 20
	v := codectest.Values("gaussian", 1, n)
	for _, name := range gradients.Names() {
		l := gradients.Layout{{Name: "matrix", Shape: []int{1 << 10, 1 << 10}}}
		c, err := gradients.New(name, l, l.Fragments()[0])
		must(b, err)
		st := slots(c, n)
		src := c.Append(nil, gradients.Key{}, v, st)
		b.Run(name+"/encode", func(b *testing.B) {
			buf := make([]byte, 0, c.MaxSize())
			for b.Loop() {
				c.Append(buf, gradients.Key{}, v, st)
			}
			b.ReportMetric(float64(len(src))*8/n, "bits/param")
			speed(b, n)
		})
		b.Run(name+"/add", func(b *testing.B) {
			sum := c.NewSum()
			for b.Loop() {
				if sum.Add(1, src) != nil {
					b.Fatal("refused")
				}
			}
			speed(b, n)
		})
		b.Run(name+"/check", func(b *testing.B) {
			for b.Loop() {
				if c.Check(src) != nil {
					b.Fatal("refused")
				}
			}
			speed(b, n)
		})
	}
}

func BenchmarkTransforms(b *testing.B) {
	const n = 1 << 20
	for name, tr := range map[string]gradients.Transform{
		"nesterov+scale": gradients.Chain(gradients.Nesterov(.9), gradients.Scale(.7)),
		"adamw":          gradients.AdamW(gradients.AdamWOptions{Beta1: .9, Beta2: .95, Eps: 1e-8, WeightDecay: .1, Decay: [][2]int{{0, n}}}),
		"clip":           gradients.ClipNorm(1),
	} {
		st := []gradients.Vec{make(gradients.Vec, n), make(gradients.Vec, n)}[:tr.Slots()]
		v, anchor := codectest.Values("gaussian", 1, n), make(gradients.Vec, n)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				tr.Apply(gradients.Step{Outer: 10, LR: 1e-3}, v, anchor, st)
			}
			speed(b, n)
		})
	}
}

func BenchmarkFinite(b *testing.B) {
	v := codectest.Values("gaussian", 1, 1<<20)
	for b.Loop() {
		gradients.Finite(v)
	}
	speed(b, len(v))
}

func speed(b *testing.B, n int) {
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mparam/s")
}
