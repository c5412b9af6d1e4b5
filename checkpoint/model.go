package checkpoint

import (
	"cmp"

	"github.com/skein-train/skein/configs"
)

// llamaConfig is config.json of transformers' LlamaForCausalLM and, for models with QK-norm, Qwen3ForCausalLM, which is the
// same model with these norms.
type llamaConfig struct {
	Architectures     []string `json:"architectures"`
	ModelType         string   `json:"model_type"`
	VocabSize         int      `json:"vocab_size"`
	HiddenSize        int      `json:"hidden_size"`
	IntermediateSize  int      `json:"intermediate_size"`
	NumHiddenLayers   int      `json:"num_hidden_layers"`
	NumAttentionHeads int      `json:"num_attention_heads"`
	NumKeyValueHeads  int      `json:"num_key_value_heads"`
	HeadDim           int      `json:"head_dim"`
	HiddenAct         string   `json:"hidden_act"`
	MaxPositions      int      `json:"max_position_embeddings"`
	RMSNormEps        float64  `json:"rms_norm_eps"`
	RopeTheta         float64  `json:"rope_theta"`
	TieWordEmbeddings bool     `json:"tie_word_embeddings"`
	AttentionBias     bool     `json:"attention_bias"`
	MLPBias           bool     `json:"mlp_bias"`
	BOSTokenID        int      `json:"bos_token_id"`
	EOSTokenID        int      `json:"eos_token_id"`
	TorchDType        string   `json:"torch_dtype"`
	UseCache          bool     `json:"use_cache"`
}

func configOf(c *Checkpoint) llamaConfig {
	m, class, kind := c.Model, "LlamaForCausalLM", "llama"
	if m.QKNorm {
		class, kind = "Qwen3ForCausalLM", "qwen3"
	}
	return llamaConfig{
		Architectures: []string{class}, ModelType: kind, HiddenAct: "silu", TorchDType: "float32", UseCache: true,
		VocabSize: m.VocabSize, HiddenSize: m.HiddenSize, IntermediateSize: m.IntermediateSize, NumHiddenLayers: m.NumHiddenLayers,
		NumAttentionHeads: m.NumAttentionHeads, NumKeyValueHeads: m.NumKeyValueHeads, HeadDim: m.HiddenSize / max(1, m.NumAttentionHeads),
		MaxPositions: cmp.Or(m.MaxPositions, int(c.Manifest.SeqLen)), RMSNormEps: m.RMSNormEps, RopeTheta: m.RopeTheta, TieWordEmbeddings: m.TieWordEmbeddings,
		BOSTokenID: c.Tokenizer.Separator, EOSTokenID: c.Tokenizer.Separator,
	}
}

// model is the inverse of configOf.
func (l llamaConfig) model() configs.Model {
	arch, norm := l.ModelType, l.ModelType == "qwen3"
	if norm {
		arch = "llama" // the run file's name of the family
	}
	return configs.Model{
		Arch: arch, QKNorm: norm, VocabSize: l.VocabSize, HiddenSize: l.HiddenSize, IntermediateSize: l.IntermediateSize,
		NumHiddenLayers: l.NumHiddenLayers, NumAttentionHeads: l.NumAttentionHeads, NumKeyValueHeads: l.NumKeyValueHeads,
		MaxPositions: l.MaxPositions, TieWordEmbeddings: l.TieWordEmbeddings, RopeTheta: l.RopeTheta, RMSNormEps: l.RMSNormEps,
	}
}

// generation is generation_config.json: transformers' generate stops at the separator between documents.
type generation struct {
	BOSTokenID int `json:"bos_token_id"`
	EOSTokenID int `json:"eos_token_id"`
}

func generationOf(c *Checkpoint) generation {
	return generation{BOSTokenID: c.Tokenizer.Separator, EOSTokenID: c.Tokenizer.Separator}
}

// tokenizerConfig is tokenizer_config.json. It names no special tokens: those would be cut out of the text before
// everything else, and one of the byte tokenizer's would be an ordinary letter there.
type tokenizerConfig struct {
	Class     string `json:"tokenizer_class"`
	MaxLength int    `json:"model_max_length"`
	CleanUp   bool   `json:"clean_up_tokenization_spaces"`
}

func tokenizerConfigOf(c *Checkpoint) tokenizerConfig {
	return tokenizerConfig{Class: "PreTrainedTokenizerFast", MaxLength: int(c.Manifest.SeqLen)}
}
