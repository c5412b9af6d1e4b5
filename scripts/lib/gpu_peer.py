"""Times training steps of a Llama in PyTorch on a GPU: torch.compile, autocast to bfloat16, fp32 masters, fused AdamW, clipping to norm 1.

  gpu_peer.py RUN.yaml STEPS

RUN.yaml is what `skein config show` prints. Prints one line of JSON: tokens/s of the median and the best step after three to warm up, and the
peak memory in bytes. EAGER=1 leaves torch.compile out; without a GPU it runs on the processor, to try the script."""

import json, os, re, statistics, sys, time

import torch
import torch.nn.functional as F


def run_file(text):
    """The model's sizes and the batches of a run file with one key a line."""
    value = lambda key: re.search(rf"^ *{key}: (\S+)$", text, re.M)[1]
    keys = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads seq_len batch_size micro_batch_size"
    c = {key: int(value(key)) for key in keys.split()}
    c["vocab_size"] = c["vocab_size"] or {"gpt2": 50257, "byte": 256}[value("tokenizer")]
    c["tie_word_embeddings"] = value("tie_word_embeddings") == "true"
    return c


c, steps = run_file(open(sys.argv[1]).read()), int(sys.argv[2])
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(1)
V, D, H, KV, FF, T = (c[k] for k in ("vocab_size", "hidden_size", "num_attention_heads", "num_key_value_heads", "intermediate_size", "seq_len"))
HD = D // H


def weight(*shape):
    return torch.nn.Parameter(torch.randn(*shape, device=device) * 0.02)


def ones():
    return torch.nn.Parameter(torch.ones(D, device=device))


embedding = weight(V, D)
head = embedding if c["tie_word_embeddings"] else weight(V, D)
layers = [(ones(), weight((H + 2 * KV) * HD, D), weight(D, D), ones(), weight(2 * FF, D), weight(D, FF)) for _ in range(c["num_hidden_layers"])]
last = ones()
params = [embedding, last] + ([] if head is embedding else [head]) + [p for layer in layers for p in layer]
angle = torch.arange(T, device=device)[:, None] / 10000 ** (torch.arange(0, HD, 2, device=device)[None] / HD)
cos, sin = torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin()


def norm(x, w):
    x = x.float()
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * w


def rotate(x):
    a, b = x.chunk(2, -1)
    return (x * cos + torch.cat((-b, a), -1) * sin).to(x.dtype)


def block(x, n1, qkv, out, n2, up, down):
    b = x.shape[0]
    q, k, v = F.linear(norm(x, n1), qkv).split((H * HD, KV * HD, KV * HD), -1)
    heads = lambda y, n: y.view(b, T, n, HD).transpose(1, 2)
    k, v = rotate(heads(k, KV)).repeat_interleave(H // KV, 1), heads(v, KV).repeat_interleave(H // KV, 1)
    a = F.scaled_dot_product_attention(rotate(heads(q, H)), k, v, is_causal=True)
    x = x + F.linear(a.transpose(1, 2).reshape(b, T, D), out)
    gate, value = F.linear(norm(x, n2), up).chunk(2, -1)
    return x + F.linear(F.silu(gate) * value, down)


def loss_of(ids, targets):
    x = F.embedding(ids, embedding)
    for layer in layers:
        x = block(x, *layer)
    return F.cross_entropy(F.linear(norm(x, last), head).float().view(-1, V), targets.reshape(-1))


if not os.environ.get("EAGER"):
    loss_of = torch.compile(loss_of)
optimizer = torch.optim.AdamW(params, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, **({"fused": True} if device == "cuda" else {}))
micros = c["batch_size"] // c["micro_batch_size"]
batches = torch.randint(V, (micros, c["micro_batch_size"], T + 1), device=device)


def step():
    for ids in batches:
        with torch.autocast(device, torch.bfloat16):
            loss = loss_of(ids[:, :-1], ids[:, 1:]) / micros
        loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


times = []
for i in range(3 + steps):
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    if i >= 3:
        times.append(time.perf_counter() - start)
tokens = c["batch_size"] * T
print(json.dumps({"torch": torch.__version__, "tokens_per_s": tokens / statistics.median(times), "best": tokens / min(times),
                  "memory": torch.cuda.max_memory_allocated() if device == "cuda" else 0}))
