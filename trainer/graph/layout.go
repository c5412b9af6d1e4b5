package graph

import (
	"fmt"

	"github.com/skein-train/skein/gradients"
)

const (
	nameEmbed = "model.embed_tokens.weight"
	nameNorm  = "model.norm.weight"
	nameHead  = "lm_head.weight"
)

func layerName(l int, part string) string { return fmt.Sprintf("model.layers.%d.%s.weight", l, part) }

// LayoutOf lists the model's parameters under their Hugging Face names, in the order of the flat vector.
//
// With fragments = 1 that is embedding, layers, final norm, head. With P > 1 fragments the layers are dealt out in strides,
// layer l to fragment l mod (P−1), and embedding, final norm and head form the last one (Streaming DiLoCo, arXiv
// 2501.18512, section 2.2). Queries, keys and values of a layer are neighbours in this order, and so are gate and up, so
// that one matrix view covers each group.
func LayoutOf(m Model, fragments int) (gradients.Layout, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if fragments < 1 || fragments > m.NumHiddenLayers+1 {
		return nil, fmt.Errorf("layout: %d fragments for num_hidden_layers %d, it must be 1 to %d (one a layer and one for the embeddings)",
			fragments, m.NumHiddenLayers, m.NumHiddenLayers+1)
	}
	var l layoutBuilder
	if fragments == 1 {
		l.embedding(m)
		for i := range m.NumHiddenLayers {
			l.layer(m, i)
		}
		l.top(m)
		return l.layout, nil
	}
	strides := fragments - 1
	for l.fragment = 0; l.fragment < strides; l.fragment++ {
		for i := l.fragment; i < m.NumHiddenLayers; i += strides {
			l.layer(m, i)
		}
	}
	l.embedding(m)
	l.top(m)
	return l.layout, nil
}

// layoutBuilder appends tensors end to end.
type layoutBuilder struct {
	layout   gradients.Layout
	fragment int
}

func (l *layoutBuilder) add(name string, shape ...int) {
	l.layout = append(l.layout, gradients.Tensor{Name: name, Shape: shape, Off: l.layout.Len(), Fragment: l.fragment})
}

func (l *layoutBuilder) embedding(m Model) { l.add(nameEmbed, m.VocabSize, m.HiddenSize) }

func (l *layoutBuilder) layer(m Model, i int) {
	d, f, hd := m.HiddenSize, m.IntermediateSize, m.HeadDim()
	l.add(layerName(i, "input_layernorm"), d)
	l.add(layerName(i, "self_attn.q_proj"), m.NumAttentionHeads*hd, d)
	l.add(layerName(i, "self_attn.k_proj"), m.NumKeyValueHeads*hd, d)
	l.add(layerName(i, "self_attn.v_proj"), m.NumKeyValueHeads*hd, d)
	if m.QKNorm {
		l.add(layerName(i, "self_attn.q_norm"), hd)
		l.add(layerName(i, "self_attn.k_norm"), hd)
	}
	l.add(layerName(i, "self_attn.o_proj"), d, m.NumAttentionHeads*hd)
	l.add(layerName(i, "post_attention_layernorm"), d)
	l.add(layerName(i, "mlp.gate_proj"), f, d)
	l.add(layerName(i, "mlp.up_proj"), f, d)
	l.add(layerName(i, "mlp.down_proj"), d, f)
}

func (l *layoutBuilder) top(m Model) {
	l.add(nameNorm, m.HiddenSize)
	if !m.TieWordEmbeddings {
		l.add(nameHead, m.VocabSize, m.HiddenSize)
	}
}
