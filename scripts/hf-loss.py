#!/usr/bin/env python3
"""Evaluates an exported Hugging Face folder with PyTorch: hf-loss.py FOLDER VALIDATION.npy

Reads config.json, model.safetensors and tokenizer.json, and nothing else of the run. The model is that of
lib/llama.py in float32. VALIDATION.npy holds int32 sequences of inputs and one more token, as written
by `skein data validation`. Prints the mean cross-entropy over all targets, in nats per token.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lib.llama import logits

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


def main(folder, validation):
    folder = Path(folder)
    c = json.loads((folder / "config.json").read_text())
    assert c["architectures"] in (["LlamaForCausalLM"], ["Qwen3ForCausalLM"]) and c["hidden_act"] == "silu" and not c["attention_bias"] and not c["mlp_bias"], c
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
