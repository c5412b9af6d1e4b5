package trainer

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// fake is a source of sequences that a model can learn: token i+1 = 3·token i + 1 mod vocab, from a start drawn by position.
type fake struct{ vocab, seqLen, validations int }

var _ shards.Source = fake{}

func (f fake) Sequence(dst []int32, position uint64) error {
	r := rand.New(rand.NewPCG(position, 7))
	x := r.IntN(f.vocab)
	for i := range dst {
		dst[i] = int32(x)
		x = (3*x + 1) % f.vocab
	}
	return nil
}
func (f fake) Validation(dst []int32, index int) error { return f.Sequence(dst, uint64(index)+1<<40) }
func (f fake) Validations() int                        { return f.validations }
func (f fake) Vocab() int                              { return f.vocab }
func (f fake) SeqLen() int                             { return f.seqLen }

var tinyData = fake{vocab: 13, seqLen: 6, validations: 5}

// tiny has every feature that changes a shape: grouped queries, sizes that are no power of two, two layers.
func tiny() Options {
	inner := DefaultInner()
	inner.LR, inner.WarmupSteps = 1e-2, 3
	return Options{
		Model:     Model{VocabSize: 13, HiddenSize: 12, IntermediateSize: 10, NumHiddenLayers: 2, NumAttentionHeads: 3, NumKeyValueHeads: 1},
		Fragments: 1, Inner: inner, BatchSize: 4, MicroBatchSize: 2, Steps: 60, Seed: 1, Engine: reference.New(),
	}
}

func tied() Options {
	o := tiny()
	o.Model.TieWordEmbeddings = true
	return o
}

func normed() Options {
	o := tiny()
	o.Model.QKNorm, o.Recompute = true, "block"
	return o
}

func withMuon() Options {
	o := tiny()
	o.Inner.Optimizer = "muon"
	return o
}

func newReplica(t testing.TB, o Options) *Replica {
	t.Helper()
	r, err := New(o, tinyData)
	if err != nil {
		t.Fatal(err)
	}
	begin(t, r, shards.Seat{Count: 1 << 20})
	return r
}

func begin(t testing.TB, r *Replica, s shards.Seat) {
	t.Helper()
	if err := r.Begin(s); err != nil {
		t.Fatal(err)
	}
}

func steps(t testing.TB, r *Replica, n int) (last float64) {
	t.Helper()
	for range n {
		loss, err := r.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		last = loss
	}
	return last
}

func whole(r *Replica) gradients.Fragment { return gradients.Fragment{Hi: r.Len()} }

func paramsOf(r *Replica) gradients.Vec {
	v := make(gradients.Vec, r.Len())
	r.Read(v, whole(r))
	return v
}
