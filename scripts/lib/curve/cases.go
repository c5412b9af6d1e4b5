package main

import (
	"context"
	"path/filepath"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer"
)

// Case is one training run. Its JSON is what scripts/curve-torch reads.
type Case struct {
	Name                      string
	Model                     trainer.Model
	Inner                     trainer.Inner
	Steps                     int
	BatchSize, MicroBatchSize int // sequences
	SeqLen                    int // tokens
	Seed                      uint64

	Layout  gradients.Layout     // of the weights
	Engines map[string][]float64 // loss of every step, in nats a token, by the engine's name

	corpus string        // data.source, tokenised by bytes; "": counting
	first  gradients.Vec // weights before the first step
}

// onText trains on Wikipedia: the model of configs/tiny.yaml, and one with everything that it leaves out. The learning rate is a
// third of that file's: there the odd spike of the gradient magnifies any rounding a thousandfold, and two curves compare luck.
func onText() []Case {
	inner := trainer.DefaultInner()
	inner.LR, inner.WarmupSteps = 1e-3, 50
	tiny := trainer.Model{VocabSize: 256, HiddenSize: 128, IntermediateSize: 352, NumHiddenLayers: 4, NumAttentionHeads: 4, NumKeyValueHeads: 4, RMSNormEps: 1e-5, RopeTheta: 10000}
	grouped := tiny
	grouped.NumHiddenLayers, grouped.NumKeyValueHeads, grouped.TieWordEmbeddings, grouped.RopeTheta = 3, 2, true, 50000
	return []Case{
		{Name: "tiny", Model: tiny, Inner: inner, Steps: 200, BatchSize: 16, MicroBatchSize: 16, SeqLen: 128, Seed: 1337, corpus: "enwik7"},
		{Name: "grouped", Model: grouped, Inner: inner, Steps: 200, BatchSize: 16, MicroBatchSize: 8, SeqLen: 128, Seed: 1337, corpus: "enwik7"},
	}
}

// verySmall are cases with odd sizes that take no time.
func verySmall() []Case {
	inner := trainer.DefaultInner()
	inner.LR, inner.WarmupSteps = 1e-2, 5
	plain := trainer.Model{VocabSize: 31, HiddenSize: 24, IntermediateSize: 40, NumHiddenLayers: 2, NumAttentionHeads: 2, NumKeyValueHeads: 2, RMSNormEps: 1e-5, RopeTheta: 10000}
	grouped := plain
	grouped.HiddenSize, grouped.NumAttentionHeads, grouped.NumKeyValueHeads, grouped.TieWordEmbeddings = 36, 6, 2, true
	normed := grouped
	normed.TieWordEmbeddings, normed.QKNorm = false, true
	wsd, zloss := inner, inner
	wsd.Schedule, zloss.ZLoss = "wsd", 1e-2
	return []Case{
		{Name: "plain", Model: plain, Inner: inner, Steps: 30, BatchSize: 4, MicroBatchSize: 4, SeqLen: 11, Seed: 1},
		{Name: "grouped", Model: grouped, Inner: wsd, Steps: 30, BatchSize: 4, MicroBatchSize: 2, SeqLen: 13, Seed: 2},
		{Name: "normed", Model: normed, Inner: zloss, Steps: 30, BatchSize: 3, MicroBatchSize: 1, SeqLen: 9, Seed: 3},
	}
}

// source makes token shards of the corpus below dir, or counts.
func (c *Case) source(dir string) (shards.Source, error) {
	if c.corpus == "" {
		return counting{c.Model.VocabSize, c.SeqLen}, nil
	}
	dir = filepath.Join(dir, c.corpus)
	if _, err := shards.Prepare(context.Background(), shards.Spec{Source: c.corpus, Tokenizer: "byte"}, dir, nil); err != nil {
		return nil, err
	}
	return shards.Open(dir, shards.Options{SeqLen: c.SeqLen, Seed: c.Seed, ValFraction: 0.05})
}

// counting serves sequences that a model can learn: token i+1 = 3·token i + 1 mod vocab.
type counting struct{ vocab, seqLen int }

func (s counting) Sequence(dst []int32, position uint64) error {
	x := int(position*7%31) % s.vocab
	for i := range dst {
		dst[i] = int32(x)
		x = (3*x + 1) % s.vocab
	}
	return nil
}

func (s counting) Validation(dst []int32, index int) error { return s.Sequence(dst, uint64(index)) }
func (s counting) Validations() int                        { return 1 }
func (s counting) Vocab() int                              { return s.vocab }
func (s counting) SeqLen() int                             { return s.seqLen }
