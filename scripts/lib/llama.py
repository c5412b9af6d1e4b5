"""Llama in PyTorch, written from its definition: a plain transcription of transformers' LlamaForCausalLM, and of
Qwen3ForCausalLM where the weights hold norms of queries and keys."""

import torch
import torch.nn.functional as F


def norm(x, weight, eps):
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def rotate(x, cos, sin):
    """Rotary embedding of x [B, heads, T, D]: the halves of D are the pairs."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


def logits(c, w, ids):
    """Logits [B, T, V] of ids [B, T]. c is Hugging Face's config.json, w its tensors by name; numbers are torch's default type."""
    batch, time = ids.shape
    heads, kv, dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
    angle = torch.arange(time)[:, None] / c["rope_theta"] ** (torch.arange(0, dim, 2)[None] / dim)
    cos, sin = torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin()
    future = torch.full((time, time), float("-inf")).triu(1)
    x = w["model.embed_tokens.weight"][ids]
    for i in range(c["num_hidden_layers"]):
        p = lambda name: w[f"model.layers.{i}.{name}.weight"]
        split = lambda y, n: y.view(batch, time, n, dim).transpose(1, 2)
        h = norm(x, p("input_layernorm"), c["rms_norm_eps"])
        q, k = split(h @ p("self_attn.q_proj").T, heads), split(h @ p("self_attn.k_proj").T, kv)
        if f"model.layers.{i}.self_attn.q_norm.weight" in w:
            q, k = norm(q, p("self_attn.q_norm"), c["rms_norm_eps"]), norm(k, p("self_attn.k_norm"), c["rms_norm_eps"])
        q, k = rotate(q, cos, sin), rotate(k, cos, sin).repeat_interleave(heads // kv, 1)
        v = split(h @ p("self_attn.v_proj").T, kv).repeat_interleave(heads // kv, 1)
        a = (q @ k.transpose(2, 3) / dim**0.5 + future).softmax(-1) @ v
        x = x + a.transpose(1, 2).reshape(batch, time, heads * dim) @ p("self_attn.o_proj").T
        h = norm(x, p("post_attention_layernorm"), c["rms_norm_eps"])
        x = x + (F.silu(h @ p("mlp.gate_proj").T) * (h @ p("mlp.up_proj").T)) @ p("mlp.down_proj").T
    head = "model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"
    return norm(x, w["model.norm.weight"], c["rms_norm_eps"]) @ w[head].T
