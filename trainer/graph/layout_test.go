package graph

import (
	"strings"
	"testing"

	"github.com/skein-train/skein/gradients"
)

var small = Model{VocabSize: 7, HiddenSize: 8, IntermediateSize: 5, NumHiddenLayers: 5, NumAttentionHeads: 4, NumKeyValueHeads: 2}

func names(l gradients.Layout, fragment int) (out []string) {
	for _, t := range l {
		if t.Fragment == fragment {
			out = append(out, strings.TrimSuffix(strings.TrimPrefix(t.Name, "model."), ".weight"))
		}
	}
	return out
}

func layout(t *testing.T, m Model, fragments int) gradients.Layout {
	t.Helper()
	l, err := LayoutOf(m, fragments)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLayoutHasHuggingFaceNames(t *testing.T) {
	m := small
	m.NumHiddenLayers = 1
	want := "embed_tokens layers.0.input_layernorm layers.0.self_attn.q_proj layers.0.self_attn.k_proj layers.0.self_attn.v_proj " +
		"layers.0.self_attn.o_proj layers.0.post_attention_layernorm layers.0.mlp.gate_proj layers.0.mlp.up_proj layers.0.mlp.down_proj norm lm_head"
	if got := strings.Join(names(layout(t, m, 1), 0), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	m.TieWordEmbeddings = true
	if _, ok := layout(t, m, 1).Find("lm_head.weight"); ok {
		t.Error("tied embeddings with a head of their own")
	}
	if got := layout(t, m, 1).Len(); got != 7*8+8+8*8+2*4*8+8*8+8+3*5*8+8 {
		t.Errorf("%d parameters", got)
	}
}

func TestFragmentsAreStrided(t *testing.T) {
	l := layout(t, small, 3)
	layersOf := func(fragment int) (out []string) {
		for _, n := range names(l, fragment) {
			if strings.HasSuffix(n, "input_layernorm") {
				out = append(out, strings.Split(n, ".")[1])
			}
		}
		return out
	}
	if got := strings.Join(layersOf(0), ""); got != "024" {
		t.Errorf("fragment 0 has layers %s", got)
	}
	if got := strings.Join(layersOf(1), ""); got != "13" {
		t.Errorf("fragment 1 has layers %s", got)
	}
	if got := strings.Join(names(l, 2), " "); got != "embed_tokens norm lm_head" {
		t.Errorf("the last fragment has %s", got)
	}
	if f := l.Fragments(); len(f) != 3 || f[2].Hi != l.Len() {
		t.Errorf("fragments %v", f)
	}
}

func TestPackedMatricesAreNeighbours(t *testing.T) {
	for _, fragments := range []int{1, 2, 6} {
		l := layout(t, small, fragments)
		off := func(name string) int {
			tensor, ok := l.Find("model.layers.3." + name + ".weight")
			if !ok {
				t.Fatal(name)
			}
			return tensor.Off
		}
		q, k, v := off("self_attn.q_proj"), off("self_attn.k_proj"), off("self_attn.v_proj")
		if k-q != 8*8 || v-k != 4*8 || off("mlp.up_proj")-off("mlp.gate_proj") != 5*8 {
			t.Errorf("%d fragments: q %d, k %d, v %d", fragments, q, k, v)
		}
	}
}

func TestLayoutRefusesImpossibleFragments(t *testing.T) {
	for _, n := range []int{-1, 0, 7} {
		if _, err := LayoutOf(small, n); err == nil {
			t.Errorf("%d fragments of 5 layers were accepted", n)
		}
	}
}
