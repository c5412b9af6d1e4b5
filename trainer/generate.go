package trainer

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/graph"
)

// Generate continues prompt by n tokens drawn from the given parameters and hands each to emit. temperature 0 takes the
// likeliest token; topK > 0 draws among the K likeliest only. The model sees the last seq_len tokens. Every token costs a
// whole forward pass over a window of seq_len. An error of emit ends the generation and is returned.
func (r *Replica) Generate(ctx context.Context, params gradients.Vec, prompt []int32, n int, temperature float64, topK int, seed uint64, emit func(token int32) error) error {
	if err := r.checkPrompt(prompt, temperature, topK); err != nil {
		return fmt.Errorf("trainer: generate: %w", err)
	}
	o, err := r.look(params)
	if err != nil {
		return fmt.Errorf("trainer: generate: %w", err)
	}
	if o.sample == nil {
		if o.sample, err = graph.Sample(r.engine, r.shape(1), o.params, r.arena); err != nil {
			return fmt.Errorf("trainer: generate: %w", err)
		}
	}
	s := newSampler(r.options.Model.VocabSize, temperature, topK, seed)
	text := slices.Clone(prompt)
	window := make([]int32, r.data.SeqLen())
	for range n {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("trainer: generate: %w", err)
		}
		text = text[max(0, len(text)-len(window)):]
		copy(window, text) // what lies behind the text is not seen: attention is causal
		o.sample.Pass.Row = len(text) - 1
		o.sample.Feed(window, nil)
		if err := o.sample.Run(); err != nil {
			return fmt.Errorf("trainer: generate: %w", err)
		}
		o.sample.Logits(s.logits)
		if err := r.Err(); err != nil {
			return fmt.Errorf("trainer: generate: %w", err)
		}
		token := s.draw()
		if err := emit(token); err != nil {
			return err
		}
		text = append(text, token)
	}
	return nil
}

func (r *Replica) checkPrompt(prompt []int32, temperature float64, topK int) error {
	switch {
	case len(prompt) == 0:
		return fmt.Errorf("the prompt needs at least one token")
	case !(temperature >= 0) || math.IsInf(temperature, 0):
		return fmt.Errorf("temperature %g must be a number, 0 or more", temperature)
	case topK < 0:
		return fmt.Errorf("top-k %d must not be negative", topK)
	}
	for i, id := range prompt {
		if id < 0 || int(id) >= r.options.Model.VocabSize {
			return fmt.Errorf("token %d of the prompt has id %d, outside vocab_size %d", i, id, r.options.Model.VocabSize)
		}
	}
	return nil
}

// sampler draws token ids from logits.
type sampler struct {
	logits      []float32 // [V], to be filled before draw
	weights     []float64 // [V]
	order       []int32   // [V]
	temperature float64
	topK        int
	random      *rand.Rand
}

func newSampler(vocab int, temperature float64, topK int, seed uint64) *sampler {
	s := &sampler{
		logits: make([]float32, vocab), weights: make([]float64, vocab), order: make([]int32, vocab),
		temperature: temperature, topK: topK, random: rand.New(rand.NewPCG(seed, 0)),
	}
	if topK == 0 || topK > vocab {
		s.topK = vocab
	}
	return s
}

// draw orders the ids by falling logit, ties by id, and draws among the first topK.
func (s *sampler) draw() int32 {
	for i := range s.order {
		s.order[i] = int32(i)
	}
	slices.SortFunc(s.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.logits[b], s.logits[a]), cmp.Compare(a, b))
	})
	if s.temperature == 0 {
		return s.order[0]
	}
	best, sum := float64(s.logits[s.order[0]]), 0.0
	for i, id := range s.order[:s.topK] {
		s.weights[i] = math.Exp((float64(s.logits[id]) - best) / s.temperature)
		sum += s.weights[i]
	}
	at := s.random.Float64() * sum
	for i, id := range s.order[:s.topK] {
		if at -= s.weights[i]; at < 0 {
			return id
		}
	}
	return s.order[s.topK-1]
}
