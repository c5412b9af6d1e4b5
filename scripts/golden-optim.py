#!/usr/bin/python3
"""Writes trainer/optim/testdata/{adamw,muon}.json: steps of both optimizers in float64, worked out by code that shares nothing with ours.

  scripts/golden-optim.py        needs python3-numpy and python3-torch (Debian's packages)

AdamW is torch.optim.AdamW in float64 behind torch.nn.utils.clip_grad_norm_, and NumPy's must agree with it. Muon is written in NumPy after
Keller Jordan's muon.py with the scale of arXiv 2502.16982: it transposes tall matrices, normalises first and does everything in float64.
Parameters and gradients are float32 numbers, so that every reader starts from the same."""
import json, pathlib
import numpy as np, torch

OUT = pathlib.Path(__file__).resolve().parent.parent / 'trainer/optim/testdata'
CONFIG = dict(betas=[.9, .95], eps=1e-8, momentum=.95, weight_decay=.1, grad_clip=1.0)
LR = [.1, .3, .2]
TENSORS = [  # name, shape, hidden; AdamW's tensors lie between Muon's
    ('embed', (3, 4), False), ('norm', (5,), False), ('wide', (4, 6), True), ('tall', (6, 4), True), ('bias', (3,), False),
    ('square', (5, 5), True), ('row', (1, 7), True), ('flat', (4, 4), True), ('head', (3, 4), False)]
GRADIENT = [.02, 1.5, .1]  # its size in each step: the second is clipped, the first is not

def inputs():
    r = np.random.default_rng(2024)
    f32 = lambda x: x.astype(np.float32).astype(np.float64)
    params = [f32(r.normal(size=s)) for _, s, _ in TENSORS]
    grads = [[f32(g * r.normal(size=s)) for _, s, _ in TENSORS] for g in GRADIENT]
    names = [n for n, _, _ in TENSORS]
    for step in grads:
        step[names.index('flat')] = np.outer(step[names.index('flat')][0], [1, 2, -1, .5])  # rank 1, exactly and in every step
    grads[0][names.index('row')][:] = 0
    return params, grads

def clipped(grads):
    norm = np.sqrt(sum((g * g).sum() for g in grads))
    return [g * min(1, CONFIG['grad_clip'] / (norm + 1e-6)) if norm > CONFIG['grad_clip'] else g for g in grads]

def adamw(p, g, state, t, lr, decays):
    b1, b2 = CONFIG['betas']
    m, v = state.setdefault('m', np.zeros_like(p)), state.setdefault('v', np.zeros_like(p))
    m[:], v[:] = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    p = p * (1 - lr * CONFIG['weight_decay'] * decays)
    return p - lr * (m / (1 - b1 ** t)) / (np.sqrt(v / (1 - b2 ** t)) + CONFIG['eps'])

def newton_schulz(g):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if g.shape[0] > g.shape[1] else x

def muon(p, g, state, lr):
    mu, buf = CONFIG['momentum'], state.setdefault('buf', np.zeros_like(p))
    buf[:] = buf + (1 - mu) * (g - buf)      # torch's lerp_
    update = g + mu * (buf - g)              # Nesterov, torch's lerp
    return p * (1 - lr * CONFIG['weight_decay']) - lr * .2 * np.sqrt(max(p.shape)) * newton_schulz(update)

def run(kind):
    params, grads = inputs()
    states = [{} for _ in params]
    trace = []
    for t, (lr, step) in enumerate(zip(LR, grads), 1):
        for i, g in enumerate(clipped(step)):
            hidden = TENSORS[i][2] and kind == 'muon'
            params[i] = muon(params[i], g, states[i], lr) if hidden else adamw(params[i], g, states[i], t, lr, params[i].ndim > 1)
        trace.append([p.copy() for p in params])
    return trace

def torch_adamw():
    params, grads = inputs()
    ps = [torch.tensor(p, requires_grad=True) for p in params]
    o = torch.optim.AdamW([dict(params=[p for p in ps if p.ndim > 1], weight_decay=CONFIG['weight_decay']), dict(params=[p for p in ps if p.ndim == 1], weight_decay=0)],
                          betas=CONFIG['betas'], eps=CONFIG['eps'])
    trace = []
    for lr, step in zip(LR, grads):
        for p, g in zip(ps, step):
            p.grad = torch.tensor(g)
        torch.nn.utils.clip_grad_norm_(ps, CONFIG['grad_clip'])
        for group in o.param_groups:
            group['lr'] = lr
        o.step()
        trace.append([p.detach().numpy().copy() for p in ps])
    return trace

def write(kind, trace):
    params, grads = inputs()
    flat = lambda x: [float('%.9g' % v) for v in np.concatenate([t.ravel() for t in x])]
    lines = ['{', f' "config": {json.dumps(dict(kind=kind, **CONFIG))},',
             ' "tensors": [' + ',\n  '.join(json.dumps(dict(name=n, shape=s, hidden=h)) for n, s, h in TENSORS) + '],',
             f' "params": {json.dumps(flat(params))},', ' "steps": [' + ',\n'.join(
                 f'  {{"lr": {lr},\n   "grads": {json.dumps(flat(g))},\n   "params": {json.dumps(flat(p))}}}' for lr, g, p in zip(LR, grads, trace)) + ']', '}']
    (OUT / f'{kind}.json').write_text('\n'.join(lines) + '\n')

reference = torch_adamw()
for ours, theirs in zip(run('adamw'), reference):
    for a, b in zip(ours, theirs):
        assert np.abs(a - b).max() < 1e-12, 'AdamW in NumPy is not torch.optim.AdamW'
OUT.mkdir(exist_ok=True)
write('adamw', reference)
write('muon', run('muon'))
