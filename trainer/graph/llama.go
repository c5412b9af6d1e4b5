package graph

import (
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/ops"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// weights are the model's parameters as nodes: views of the flat vectors, by name.
type weights struct {
	embed, norm, head *ops.Param
	layers            []layer
	all               []*ops.Param
}

type layer struct {
	inputNorm, qkv, o, postNorm, gateUp, down *ops.Param
	headNorm                                  *ops.Param // nil without QK-norm
}

func newWeights(b *ops.Builder, s Shape, params, grads engine.Buf) *weights {
	w, m, d := &weights{}, s.Model, s.Model.HiddenSize
	// view covers the neighbours that start with the tensor called name.
	view := func(name string, shape ...int) *ops.Param {
		t, ok := s.Layout.Find(name)
		if !ok {
			panic("graph: the layout has no " + name)
		}
		lo, n := t.Off, tensor.Shape(shape).TotalSize()
		var grad engine.Buf
		if grads.Len > 0 {
			grad = grads.Slice(lo, lo+n)
		}
		p := b.Param(name, params.Slice(lo, lo+n), grad, shape...)
		w.all = append(w.all, p)
		return p
	}
	w.embed = view(nameEmbed, m.VocabSize, d)
	for l := range m.NumHiddenLayers {
		at := layer{
			inputNorm: view(layerName(l, "input_layernorm"), d),
			qkv:       view(layerName(l, "self_attn.q_proj"), m.QKVSize(), d),
			o:         view(layerName(l, "self_attn.o_proj"), d, m.NumAttentionHeads*m.HeadDim()),
			postNorm:  view(layerName(l, "post_attention_layernorm"), d),
			gateUp:    view(layerName(l, "mlp.gate_proj"), 2*m.IntermediateSize, d),
			down:      view(layerName(l, "mlp.down_proj"), d, m.IntermediateSize),
		}
		if m.QKNorm {
			at.headNorm = view(layerName(l, "self_attn.q_norm"), 2, m.HeadDim())
		}
		w.layers = append(w.layers, at)
	}
	w.norm = view(nameNorm, d)
	if !m.TieWordEmbeddings {
		w.head = view(nameHead, m.VocabSize, d)
		return w
	}
	// The way back starts at the head and ends at the embedding, as Tied demands.
	w.head = b.Tied(w.embed, nameHead)
	w.all = append(w.all, w.head)
	return w
}

// Attention is that of every layer.
func (s Shape) Attention() engine.Attention {
	return engine.Attention{
		Batch: s.Batch, Time: s.Time,
		Heads: s.Model.NumAttentionHeads, KVHeads: s.Model.NumKeyValueHeads, HeadDim: s.Model.HeadDim(),
		RopeBase: s.Model.Theta(),
	}
}

// hidden is the model up to the final norm: ids int32 [N] → [N, D].
func hidden(b *ops.Builder, s Shape, w *weights, ids *gorgonia.Node) *gorgonia.Node {
	eps, attention := float32(s.Model.Eps()), s.Attention()
	block := func(f func()) { f() }
	if s.Recompute {
		block = b.Block
	}
	x := b.Embed(w.embed, ids)
	for _, l := range w.layers {
		block(func() {
			h, skip := b.RMSNorm(x, l.inputNorm, eps)
			qkv := b.Linear(h, l.qkv)
			if l.headNorm != nil {
				qkv = b.HeadNorm(qkv, l.headNorm, attention, eps)
			}
			x = skip.Add(b.ToStream(b.Attend(qkv, attention), l.o))
			h, skip = b.RMSNorm(x, l.postNorm, eps)
			x = skip.Add(b.ToStream(b.SwiGLU(b.Linear(h, l.gateUp)), l.down))
		})
	}
	x, _ = b.RMSNorm(x, w.norm, eps)
	return x
}

// lossOf is the whole model over p's tokens and targets.
func lossOf(b *ops.Builder, s Shape, w *weights, p *Program) *gorgonia.Node {
	ids := b.Input("tokens", tensor.Int32, p.tokens, s.tokens())
	targets := b.Input("targets", tensor.Int32, p.target, s.tokens())
	return b.Head(hidden(b, s, w, ids), w.head, targets, p.loss, float32(s.ZLoss))
}
