package configs

import (
	"fmt"
	"slices"
	"strings"
)

// suggest says which key was probably meant by name, or "".
func suggest(fields []field, section, name string) string {
	plain := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	var here, elsewhere []string
	for _, f := range fields {
		s, key, found := strings.Cut(f.path, ".")
		if !found {
			s, key = "", f.path
		}
		switch {
		case key == plain && s == section:
			return "write it as " + f.path
		case key == plain:
			elsewhere = append(elsewhere, f.path)
		case s == section:
			here = append(here, key)
		}
	}
	if path := synonym(section, plain); path != "" {
		return fmt.Sprintf("did you mean %s?", path)
	}
	if len(elsewhere) > 0 {
		return fmt.Sprintf("did you mean %s?", strings.Join(elsewhere, " or "))
	}
	if section == "" {
		here = append(here, sections()...)
	}
	if best, ok := closest(plain, here); ok {
		if section != "" {
			best = section + "." + best
		}
		return fmt.Sprintf("did you mean %s?", best)
	}
	return "`skein config schema` lists every key"
}

// nearest is a hint for a misspelt value, or "".
func nearest(got string, options []string) string {
	if got == "gpu" && slices.Contains(options, "cuda") {
		got = "cuda"
	}
	if best, ok := closest(got, options); ok {
		return fmt.Sprintf("did you mean %s?", best)
	}
	return ""
}

// closest finds the option with the fewest typing errors, if they are few for its length.
func closest(s string, options []string) (string, bool) {
	best, least := "", 1+max(min(2, len(s)-2), len(s)/3)
	for _, o := range options {
		if d := distance(s, o); d < least && d < max(len(s), len(o)) {
			best, least = o, d
		}
	}
	return best, best != ""
}

// distance counts insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

// synonym finds the key that other trainers call name, or "".
func synonym(section, name string) string {
	for _, s := range synonyms() {
		if slices.Contains(s[1:], section+"."+name) || slices.Contains(s[1:], name) {
			return s[0]
		}
	}
	return ""
}

// synonyms lists our key and behind it what peers call it; names that mean several things carry their section.
func synonyms() [][]string {
	return [][]string{
		{"outer.lr", "outer_lr", "outer.learning_rate", "outer_learning_rate", "server_lr"},
		{"outer.momentum", "outer_momentum", "server_momentum"},
		{"outer.optimizer", "outer_optimizer", "server_optimizer"},
		{"outer.method", "method", "algorithm"},
		{"sync.every", "local_steps", "inner_steps", "h", "sync_every", "sync_interval", "sync.steps", "sync.interval", "num_inner_steps", "outer_every"},
		{"sync.fragments", "num_fragments", "n_fragments", "streaming_fragments"},
		{"sync.delay", "tau", "overlap", "fragment_sync_delay", "sync_delay"},
		{"sync.blend", "alpha", "mixing", "fragment_update_alpha"},
		{"sync.codec", "compression", "quantization", "quantize", "compressor"},
		{"sync.min_peers", "min_replicas", "min_replica_size", "target_group_size", "min_clients"},
		{"sync.deadline", "timeout", "round_timeout", "averaging_timeout", "matchmaking_time"},
		{"sync.error_feedback", "ef", "error_decay", "residual"},
		{"model.num_hidden_layers", "n_layer", "n_layers", "num_layers", "layers", "depth"},
		{"model.num_attention_heads", "n_head", "n_heads", "num_heads", "heads"},
		{"model.num_key_value_heads", "n_kv_heads", "n_kv_head", "num_kv_heads", "kv_heads"},
		{"model.hidden_size", "n_embd", "d_model", "dim", "embed_dim", "width"},
		{"model.intermediate_size", "d_ff", "ffn_dim", "n_inner", "hidden_dim", "ffn_hidden_size", "mlp_dim"},
		{"model.vocab_size", "vocab", "n_vocab"},
		{"model.max_position_embeddings", "max_position_embeddings", "n_positions", "max_positions"},
		{"model.tie_word_embeddings", "tie_embeddings", "tied", "weight_tying"},
		{"model.qk_norm", "qk_layernorm", "use_qk_norm", "query_key_norm"},
		{"model.rope_theta", "theta", "rope_base"},
		{"model.rms_norm_eps", "norm_eps", "layer_norm_eps", "model.eps"},
		{"data.seq_len", "block_size", "seq_length", "sequence_length", "context_length", "max_seq_len", "n_ctx", "ctx"},
		{"data.source", "dataset", "corpus", "dataset_name", "data_path", "data.path", "data.files"},
		{"data.val_fraction", "val_split", "validation_split", "val_ratio", "test_size"},
		{"inner.lr", "lr", "learning_rate", "inner_lr", "max_lr", "peak_lr"},
		{"inner.weight_decay", "wd", "decay"},
		{"inner.warmup_steps", "warmup", "num_warmup_steps", "warmup_iters", "warmup_iterations"},
		{"inner.schedule", "lr_scheduler", "lr_scheduler_type", "scheduler", "lr_schedule"},
		{"inner.min_lr_ratio", "min_lr", "final_lr_ratio", "lr_min_ratio"},
		{"inner.z_loss", "zloss", "z_loss_coefficient", "z_loss_weight"},
		{"inner.grad_clip", "clip", "max_grad_norm", "gradient_clipping", "clip_grad", "grad_norm"},
		{"inner.eps", "adam_eps", "adam_epsilon", "epsilon"},
		{"inner.betas", "beta1", "beta2", "adam_beta1", "adam_beta2"},
		{"train.steps", "max_steps", "total_steps", "num_steps", "max_iters", "iterations", "training_steps"},
		{"train.batch_size", "batch", "global_batch_size", "train_batch_size", "local_batch_size"},
		{"train.micro_batch_size", "micro_batch", "device_batch_size", "per_device_train_batch_size", "gradient_accumulation_steps", "grad_accum"},
		{"train.recompute", "gradient_checkpointing", "activation_checkpointing", "checkpoint_activations", "remat"},
		{"train.engine", "device", "backend", "accelerator"},
		{"train.precision", "dtype", "mixed_precision", "torch_dtype"},
		{"train.threads", "num_threads", "omp_num_threads"},
		{"swarm.local_workers", "num_workers", "n_workers", "workers", "replicas", "num_replicas", "world_size"},
		{"swarm.listen", "host_maddrs", "listen_addrs", "addresses"},
		{"checkpoint.every", "save_every", "save_interval", "save_steps", "checkpoint_interval", "checkpoint_every"},
		{"checkpoint.keep", "keep_last", "save_total_limit"},
		{"eval.every", "eval_interval", "eval_every", "eval_steps"},
		{"eval.batches", "eval_iters", "eval_batches"},
		{"seed", "random_seed", "rng_seed"},
		{"name", "run_name", "experiment", "run_id"},
	}
}
