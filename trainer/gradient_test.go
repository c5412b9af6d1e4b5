package trainer

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
	"github.com/skein-train/skein/trainer/internal/plain"
)

// plainLoss is the float64 model's mean loss over the first batch of the fake data.
func plainLoss(o Options, l gradients.Layout, params []float64) float64 {
	ids, targets := make([]int32, 0), make([]int32, 0)
	seq := make([]int32, tinyData.seqLen+1)
	for i := range o.BatchSize {
		_ = tinyData.Sequence(seq, uint64(i))
		ids, targets = append(ids, seq[:len(seq)-1]...), append(targets, seq[1:]...)
	}
	m := o.Model
	s := plain.Sizes{
		Vocab: m.VocabSize, Hidden: m.HiddenSize, Intermediate: m.IntermediateSize, Layers: m.NumHiddenLayers,
		Heads: m.NumAttentionHeads, KVHeads: m.NumKeyValueHeads, Batch: o.BatchSize, Time: tinyData.seqLen,
		Eps: 1e-5, Theta: 10000, Tied: m.TieWordEmbeddings, QKNorm: m.QKNorm,
	}
	tensor := func(name string) []float64 {
		t, _ := l.Find(name)
		return params[t.Off : t.Off+t.Len()]
	}
	return plain.CrossEntropy(plain.Logits(s, tensor, ids), targets)
}

// rough replaces the small initial weights by large ones, so that no gradient is too small to check.
func rough(r *Replica) (params gradients.Vec, wide []float64) {
	rnd := rand.New(rand.NewPCG(3, 4))
	params, wide = make(gradients.Vec, r.Len()), make([]float64, r.Len())
	for i := range params {
		params[i] = float32(0.5 * rnd.NormFloat64())
		wide[i] = float64(params[i])
	}
	r.Write(params, whole(r))
	return params, wide
}

func TestLossAndGradientMatchThePlainModel(t *testing.T) {
	for name, o := range map[string]Options{"grouped queries": tiny(), "tied": tied(), "fragments": fragmented(), "QK-norm, blocks computed again": normed()} {
		t.Run(name, func(t *testing.T) {
			o.Inner.Optimizer = "none"
			r := newReplica(t, o)
			_, x := rough(r)
			loss, err := r.Step(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if want := plainLoss(o, r.Layout(), x); math.Abs(loss-want) > 1e-5*want {
				t.Errorf("loss %.9f, the plain model says %.9f", loss, want)
			}
			grad := make(gradients.Vec, r.Len())
			r.Delta(grad, nil, whole(r))
			rnd := rand.New(rand.NewPCG(5, 6))
			for _, tensor := range r.Layout() {
				d, dot := make([]float64, r.Len()), 0.0
				for i := tensor.Off; i < tensor.Off+tensor.Len(); i++ {
					d[i] = rnd.NormFloat64()
					dot += d[i] * float64(grad[i])
				}
				want := plain.Slope(func(x []float64) float64 { return plainLoss(o, r.Layout(), x) }, x, d)
				if math.Abs(dot-want) > 2e-5*(1+math.Abs(want)) {
					t.Errorf("%s: slope %.8f, the plain model says %.8f", tensor.Name, dot, want)
				}
			}
		})
	}
}

func fragmented() Options {
	o := tiny()
	o.Fragments = 3
	return o
}

func TestMicroBatchesAddUpToTheBatch(t *testing.T) {
	for _, o := range []Options{tiny(), tied()} {
		o.Inner.Optimizer = "none"
		var grads []gradients.Vec
		for _, micro := range []int{4, 2, 1} {
			o.MicroBatchSize = micro
			r := newReplica(t, o)
			rough(r)
			steps(t, r, 2) // the second step must overwrite the first one's gradients
			g := make(gradients.Vec, r.Len())
			r.Delta(g, nil, whole(r))
			grads = append(grads, g)
		}
		for _, g := range grads[1:] {
			for i := range g {
				if math.Abs(float64(g[i]-grads[0][i])) > 1e-5 {
					t.Fatalf("gradient %d: %g in micro-batches, %g at once", i, g[i], grads[0][i])
				}
			}
		}
	}
}

// Kernels are compared one by one in enginetest; this is the whole model, wired and planned the same way.
func TestEnginesAgreeOnTheGradient(t *testing.T) {
	e, err := auto.Open(engine.Options{Kind: "cpu", Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, o := range []Options{tiny(), tied(), fragmented(), normed()} {
		o.Inner.Optimizer = "none"
		var grads []gradients.Vec
		for _, e := range []engine.Engine{o.Engine, e} {
			o.Engine = e
			r := newReplica(t, o)
			rough(r)
			steps(t, r, 1)
			g := make(gradients.Vec, r.Len())
			r.Delta(g, nil, whole(r))
			grads = append(grads, g)
		}
		var diff, norm float64
		for i, want := range grads[0] {
			diff += math.Pow(float64(grads[1][i]-want), 2)
			norm += math.Pow(float64(want), 2)
		}
		if math.Sqrt(diff/norm) > 1e-5 {
			t.Errorf("%s is off by %g of the reference's gradient", e.Name(), math.Sqrt(diff/norm))
		}
	}
}
