"""Sums up alternating pairs of `skein bench engine --json` and gpu_peer.py, for scripts/gpu-check: rows of its table and a section.

  gpu_pairs.py MODEL MICRO BATCH FOLDER

FOLDER holds ours.1, torch.1, ours.2, …; without torch.N PyTorch has timed nothing. own.1 is ours without cuBLASLt."""

import json, pathlib, re, statistics, sys

LEAST = 0.9  # of torch.compile's speed
CAPTURED = 0.95  # of a step's time inside captured graphs

model, micro, batch, folder = sys.argv[1:]
folder = pathlib.Path(folder)


def row(name, verdict, text):
    print(f"::row | {name} | {verdict} | {text} |")


def say(text=""):
    print("::say", text)


def verdict(good):
    return "green" if good else "**red**"


def measurements(who):
    """By number. PyTorch may print warnings before its line."""
    texts = {f.suffix: re.search(r"^\{.*", f.read_text(), re.M | re.S) for f in sorted(folder.glob(who + ".*"))}
    return {n: json.loads(text[0]) for n, text in texts.items() if text}


ours, torch = measurements("ours"), measurements("torch")
if not ours:
    sys.exit()
last = list(ours.values())[-1]
pairs = [(ours[n]["tokens_per_s"]["median"], torch[n]["tokens_per_s"], torch[n]) for n in ours if n in torch]
if pairs:
    ratios = [a / b for a, b, _ in pairs]
    row(f"speed of {model}", verdict(statistics.median(ratios) >= LEAST),
        f"{statistics.median(ratios):.2f} × torch.compile, {min(ratios):.2f} to {max(ratios):.2f} in {len(pairs)} pairs; at least {LEAST} is wanted")
else:
    row(f"speed of {model}", "not checked", f"PyTorch has no GPU here, or did not end in time; {statistics.median(m['tokens_per_s']['median'] for m in ours.values()):,.0f} tokens/s by itself")
row(f"{model} in captured graphs", verdict(last["captured"] >= CAPTURED), f"{last['captured']:.1%} of a step; at least {CAPTURED:.0%} is wanted")

say(f"### {model}: {last['parameters']:,} parameters, {batch} sequences of {last['seq_len']} tokens, {micro} at once")
say()
say(f"{last['engine']}. Whole steps: forward, backward, clipping, AdamW; median of {last['steps']}.")
say()
if pairs:
    say(f"| pair | tokens/s | PyTorch {pairs[0][2]['torch']}, torch.compile, bf16 | ratio |")
    say("|---|---|---|---|")
    for i, (a, b, _) in enumerate(pairs, 1):
        say(f"| {i} | {a:,.0f} | {b:,.0f} | {a / b:.3f} |")
    say()
for m in measurements("own").values():
    say(f"By our own products in place of cuBLASLt's: {m['tokens_per_s']['median']:,.0f} tokens/s.")
    say()
say(f"{last['flops']['median'] / 1e12:.1f} TFLOP/s, {last['of_peak']:.0%} of the {last['peaks'][0]['flops'] / 1e12:.0f} that the engine's own largest product reaches here.")
say()
say(f"Where a step goes, op by op, each waited for ({last['step_s'] * 1e3:.1f} ms without waiting):")
say()
say("| op | calls | ms | share | of its roof |")
say("|---|---|---|---|---|")
for p in last["parts"]:
    roof = f"{p['of_roof']:.0%} of {'memory' if p['by_traffic'] else 'arithmetic'}" if p["of_roof"] else ""
    say(f"| {p['op']} | {p['calls']} | {p['time_ns'] / 1e6:.2f} | {p['share']:.1%} | {roof} |")
say(f"| the rest | | {last['rest_ns'] / 1e6:.2f} | | |")
