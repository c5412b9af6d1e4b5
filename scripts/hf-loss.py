#!/usr/bin/env python3
"""Evaluates an exported Hugging Face folder with PyTorch: hf-loss.py FOLDER VALIDATION.npy

Reads config.json, model.safetensors and tokenizer.json, and nothing else of the run. The model is a plain transcription
of transformers' LlamaForCausalLM in float32. VALIDATION.npy holds int32 sequences of inputs and one more token, as written
by `skein data validation`. Prints the mean cross-entropy over all targets, in nats per token.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

BATCH = 32  # sequences at once


def tensors(path):
    """The tensors of a safetensors file: uint64 length of the JSON header, the header, the values."""
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    out = {}
    for name, t in json.loads(raw[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        assert t["dtype"] == "F32", (name, t["dtype"])
        lo, hi = t["data_offsets"]
        values = np.frombuffer(raw, "<f4", (hi - lo) // 4, 8 + size + lo)
        out[name] = torch.from_numpy(values.copy()).reshape(t["shape"])
    return out


def norm(x, weight, eps):
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def rotate(x, cos, sin):
    """Rotary embedding of x [B, heads, T, D]: the halves of D are the pairs."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


def logits(c, w, ids):
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
        q = rotate(split(h @ p("self_attn.q_proj").T, heads), cos, sin)
        k = rotate(split(h @ p("self_attn.k_proj").T, kv), cos, sin).repeat_interleave(heads // kv, 1)
        v = split(h @ p("self_attn.v_proj").T, kv).repeat_interleave(heads // kv, 1)
        a = (q @ k.transpose(2, 3) / dim**0.5 + future).softmax(-1) @ v
        x = x + a.transpose(1, 2).reshape(batch, time, heads * dim) @ p("self_attn.o_proj").T
        h = norm(x, p("post_attention_layernorm"), c["rms_norm_eps"])
        x = x + (F.silu(h @ p("mlp.gate_proj").T) * (h @ p("mlp.up_proj").T)) @ p("mlp.down_proj").T
    head = "model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"
    return norm(x, w["model.norm.weight"], c["rms_norm_eps"]) @ w[head].T


def main(folder, validation):
    folder = Path(folder)
    c = json.loads((folder / "config.json").read_text())
    assert c["architectures"] == ["LlamaForCausalLM"] and c["hidden_act"] == "silu" and not c["attention_bias"] and not c["mlp_bias"], c
    w = tensors(folder / "model.safetensors")
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    data = torch.from_numpy(np.load(validation).astype(np.int64))
    assert data.max() < len(words) <= c["vocab_size"], (data.max(), len(words), c["vocab_size"])
    assert data.shape[1] - 1 <= c["max_position_embeddings"]
    total = 0.0
    with torch.inference_mode():
        for rows in data.split(BATCH):
            out = logits(c, w, rows[:, :-1])
            total += F.cross_entropy(out.flatten(0, 1), rows[:, 1:].flatten(), reduction="sum").item()
    print(f"{total / data[:, 1:].numel():.9f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
