// Package graph turns a model's sizes into its parameter layout, its initial weights and its Gorgonia programs.
//
// The family is Llama's: RMSNorm, rotary embeddings (half-split), grouped-query attention, SwiGLU, no biases; with QK-norm
// it is Qwen 3's.
package graph

import (
	"errors"
	"fmt"
)

// Model is the specification of a Llama-family decoder; the fields follow Hugging Face's config.json.
type Model struct {
	VocabSize         int     // V, token ids
	HiddenSize        int     // D
	IntermediateSize  int     // F, inner width of the SwiGLU block
	NumHiddenLayers   int     // L
	NumAttentionHeads int     // Hq
	NumKeyValueHeads  int     // Hkv; divides Hq
	TieWordEmbeddings bool    // the head is the embedding table
	QKNorm            bool    // RMSNorm over every query and key head before the rotation, with weights of its own (as in Qwen 3)
	RMSNormEps        float64 // 0 means 1e-5
	RopeTheta         float64 // base of the rotary embedding, 0 means 10000
}

// HeadDim is the width of one attention head.
func (m Model) HeadDim() int { return m.HiddenSize / m.NumAttentionHeads }

// QKVSize is the width of a packed row of queries, keys and values.
func (m Model) QKVSize() int { return (m.NumAttentionHeads + 2*m.NumKeyValueHeads) * m.HeadDim() }

// Eps is the norm's epsilon, with its default.
func (m Model) Eps() float64 {
	if m.RMSNormEps == 0 {
		return 1e-5
	}
	return m.RMSNormEps
}

// Theta is the rotary base, with its default.
func (m Model) Theta() float64 {
	if m.RopeTheta == 0 {
		return 10000
	}
	return m.RopeTheta
}

// Validate names the fields that do not fit together. It reports all it finds.
func (m Model) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("model: "+format, args...)) }
	for _, f := range []struct {
		name string
		size int
	}{
		{"vocab_size", m.VocabSize}, {"hidden_size", m.HiddenSize}, {"intermediate_size", m.IntermediateSize},
		{"num_hidden_layers", m.NumHiddenLayers}, {"num_attention_heads", m.NumAttentionHeads}, {"num_key_value_heads", m.NumKeyValueHeads},
	} {
		if f.size < 1 {
			bad("%s is %d, it must be at least 1", f.name, f.size)
		}
	}
	if m.RMSNormEps < 0 || m.RopeTheta < 0 {
		bad("rms_norm_eps %g and rope_theta %g must not be negative", m.RMSNormEps, m.RopeTheta)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if m.HiddenSize%m.NumAttentionHeads != 0 {
		bad("hidden_size %d is no multiple of num_attention_heads %d", m.HiddenSize, m.NumAttentionHeads)
	} else if m.HeadDim()%2 != 0 {
		bad("hidden_size %d / num_attention_heads %d = %d must be even, rotary embeddings turn pairs", m.HiddenSize, m.NumAttentionHeads, m.HeadDim())
	}
	if m.NumAttentionHeads%m.NumKeyValueHeads != 0 {
		bad("num_attention_heads %d is no multiple of num_key_value_heads %d", m.NumAttentionHeads, m.NumKeyValueHeads)
	}
	return errors.Join(errs...)
}
