#!/usr/bin/env python3
"""Writes golden.json: payloads of every codec as docs/wire.md describes them, made without Skein's code, by loops over
Python floats that are rounded to float32 after each operation. Usage: python3 golden.py > golden.json"""
import base64, hashlib, json, math, struct, sys

MASK64 = (1 << 64) - 1


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def pack(xs):
    return struct.pack("<%df" % len(xs), *xs)


def mix(z):  # SplitMix64's finaliser
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK64
    return z ^ z >> 31


def values(seed, n):
    """Bell-shaped values; some zeros, some equal to others."""
    out = []
    for i in range(n):
        r = mix(seed * n + i + 1)
        bell = (r & 0xFFFF) + (r >> 16 & 0xFFFF) + (r >> 32 & 0xFFFF) + (r >> 48) - 2 * 0xFFFF
        if r >> 20 & 15 == 0:
            bell = bell >> 14 << 14
        out.append(f32(0.0 if r >> 24 & 31 == 0 else bell / (1 << 22)))
    return out


# ---- how values are written: groups of values -> body, and the values that the body stands for

def blocks(groups):
    for g in groups:
        for lo in range(0, len(g), 4096):
            yield g[lo:lo + 4096]


def even(x):  # nearest integer, ties to even, as Python rounds
    return int(round(x))


def w_f32(groups):
    vs = [x for g in groups for x in g]
    return pack(vs), vs


def w_bf16(groups):
    body, out = b"", []
    for x in (x for g in groups for x in g):
        b = struct.unpack("<I", struct.pack("<f", x))[0]
        h = b >> 16
        low = b & 0xFFFF
        if low > 0x8000 or low == 0x8000 and h & 1:
            h += 1
        body += struct.pack("<H", h)
        out.append(struct.unpack("<f", struct.pack("<I", h << 16))[0])
    return body, out


def scaled(groups, code_of, value_of, bits):
    scales, codes, out = [], b"", []
    for b in blocks(groups):
        s = max(abs(x) for x in b)
        scales.append(s)
        cs = [code_of(x, s) if s else 0 for x in b]
        out += [value_of(c, s) for c in cs]
        if bits == 8:
            codes += bytes(c & 255 for c in cs)
        else:
            cs = [c & 15 for c in cs] + [0] * (len(cs) % 2)
            codes += bytes(lo | hi << 4 for lo, hi in zip(cs[::2], cs[1::2]))
    return pack(scales) + codes, out


def w_int8(groups):
    return scaled(groups, lambda x, s: even(f32(f32(x / s) * 127)), lambda c, s: f32(c * f32(s / 127)), 8)


def w_int4(groups):
    return scaled(groups, lambda x, s: even(f32(f32(x / s) * 7)), lambda c, s: f32(c * f32(s / 7)), 4)


def w_e3m0(groups):
    levels = [0.0] + [2.0 ** (e - 7) for e in range(1, 8)]

    def code(x, s):
        q = f32(abs(x) / s)
        e = min(range(8), key=lambda e: (abs(q - levels[e]), e))  # the smaller one on a tie
        return e | 8 if e and x < 0 else e

    return scaled(groups, code, lambda c, s: f32((-1 if c & 8 else 1) * s * levels[c & 7]), 4)


def tables(groups, bits, fit):
    head, body, out = b"", b"", []
    for g in groups:
        codes, table = fit(g)
        head += pack(table)
        out += [table[c] for c in codes]
        per = 8 // bits
        codes = codes + [0] * (-len(codes) % per)
        for i in range(0, len(codes), per):
            body += bytes([sum(c << bits * j for j, c in enumerate(codes[i:i + per]))])
    return head + body, out


def lanes(terms):
    """Sum in float64 over four interleaved lanes, then (a + b) + (c + d)."""
    s = [0.0] * 4
    whole = len(terms) // 4 * 4
    for i, x in enumerate(terms):
        s[i % 4 if i < whole else i - whole] += x
    return (s[0] + s[1]) + (s[2] + s[3])


def w_2bit(groups):
    def fit(g):
        shift = f32(lanes(g) / len(g))
        cs = [f32(x - shift) for x in g]
        squares = 0.0
        for c in cs:
            squares += c * c
        scale = f32(f32(6 * f32(math.sqrt(squares / (len(g) - 1)))) / 4) if len(g) > 1 else 0.0
        scale = scale or 1.0
        codes = [even(min(max(f32(f32(c / scale) + 2), 0), 3)) for c in cs]
        table = []
        for b in range(4):
            of = [c for c, k in zip(cs, codes) if k == b]
            mean = 0.0
            for c in of:
                mean += c
            table.append(f32(f32(mean / max(len(of), 1)) + shift))
        return codes, table

    return tables(groups, 2, fit)


def w_1bit(groups):
    def fit(g):
        codes = [int(x < 0) for x in g]
        table = []
        for b in range(2):
            of = [x for x, k in zip(g, codes) if k == b]
            mean = 0.0
            for x in of:
                mean += x
            table.append(f32(mean / max(len(of), 1)))
        return codes, table

    return tables(groups, 1, fit)


WRITE = {"f32": (1, w_f32), "bf16": (2, w_bf16), "int8": (3, w_int8), "e3m0": (4, w_e3m0), "int4": (5, w_int4),
         "2bit": (6, w_2bit), "1bit": (7, w_1bit)}


# ---- what is sent: tensors -> head, groups of values, and a function from decoded values to the fragment

def everything(tensors, key, _):
    return 0, b"", [v for _, v in tensors], lambda sent: sent


class Bits:
    def __init__(self):
        self.bits = []

    def rice(self, gap, m):
        self.bits += [0] * (gap >> m) + [1] + [gap >> i & 1 for i in range(m)]

    def bytes(self):
        b = self.bits + [0] * (-len(self.bits) % 8)
        return bytes(sum(x << j for j, x in enumerate(b[i:i + 8])) for i in range(0, len(b), 8))


def side(n, most):
    return max(d for d in range(1, most + 1) if n % d == 0)


def chunks(shape, args):
    """Lists of places in the flattened tensor, each with the number of values to send."""
    n = math.prod(shape)
    count, of = args.split("/")
    count = int(count)
    if "x" not in of:
        of = int(of)
        return [(list(range(lo, min(lo + of, n))), min(count, min(lo + of, n) - lo)) for lo in range(0, n, of)]
    of = int(of.split("x")[0])
    return [(c, max(1, math.floor(len(c) * count / of ** 2 + .5))) for c in tiles(shape, of)]


def tiles(shape, of):
    rows, cols = shape if len(shape) == 2 else (1, math.prod(shape))
    h, w = side(rows, of) if len(shape) == 2 else 1, side(cols, of)
    return [[r * cols + c for r in range(y, y + h) for c in range(x, x + w)] for y in range(0, rows, h) for x in range(0, cols, w)]


def top(v, count):
    return sorted(sorted(range(len(v)), key=lambda i: (-abs(v[i]), i))[:count])


def gaps_head(gaps):
    if not gaps:
        return b""

    def size(m):
        return sum((g >> m) + 1 + m for g in gaps)

    m = min(range(16), key=lambda m: (size(m), m))
    bits = Bits()
    for g in gaps:
        bits.rice(g, m)
    return bytes([m]) + bits.bytes()


def topk(tensors, key, args):
    head, groups, places, off = b"", [], [], 0
    for shape, v in tensors:
        gaps, group = [], []
        for chunk, count in chunks(shape, args):
            last = -1
            for i in top([v[p] for p in chunk], count):
                if count < len(chunk):
                    gaps.append(i - last - 1)
                last = i
                group.append(v[chunk[i]])
                places.append(off + chunk[i])
        head += gaps_head(gaps)
        groups.append(group)
        off += len(v)

    def back(sent):
        out = [0.0] * off
        for p, x in zip(places, sent):
            out[p] = x
        return out

    return 1, head, groups, back


def mask(tensors, key, args):
    count, of = map(int, args.split("/"))
    state, groups, places, off = mix(key), [], [], 0
    for shape, v in tensors:
        group = []
        for lo in range(0, len(v), of):
            left = min(of, len(v) - lo)
            need = count if left == of else -(-left * count // of)
            for p in range(lo, lo + left):
                if need == 0:
                    break
                state = (state + 0x9E3779B97F4A7C15) & MASK64
                if mix(state) * left >> 64 < need:
                    need -= 1
                    group.append(v[p])
                    places.append(off + p)
                left -= 1
        groups.append(group)
        off += len(v)

    def back(sent):
        out = [0.0] * off
        for p, x in zip(places, sent):
            out[p] = x
        return out

    return 2, struct.pack("<Q", key), groups, back


def cosines(n):
    return [[math.sqrt((2 if k else 1) / n) * math.cos(math.pi * (i + .5) * k / n) for i in range(n)] for k in range(n)]


def dct(tensors, key, args):
    """The definition, as matrix products in float64; rounded to float32 at the end."""
    count, of = map(int, args.split("/"))
    head, groups, places, grids, off = b"", [], [], [], 0
    for shape, v in tensors:
        rows, cols = shape if len(shape) == 2 else (1, len(v))
        h, w = side(rows, of) if len(shape) == 2 else 1, side(cols, of)
        H, W = cosines(h), cosines(w)
        gaps, group = [], []
        for tile in tiles(shape, of):
            half = [[sum(v[tile[r * w + c]] * W[k][c] for c in range(w)) for k in range(w)] for r in range(h)]
            x = [f32(sum(half[r][k] * H[u][r] for r in range(h))) for u in range(h) for k in range(w)]
            last = -1
            for i in top(x, min(count, h * w)):
                if count < h * w:
                    gaps.append(i - last - 1)
                last = i
                group.append(x[i])
                places.append(off + tile[i])
            grids.append(([off + p for p in tile], h, w, H, W))
        head += gaps_head(gaps)
        groups.append(group)
        off += len(v)

    def back(sent):
        out = [0.0] * off
        for p, x in zip(places, sent):
            out[p] = x
        for tile, h, w, H, W in grids:
            x = [out[p] for p in tile]
            half = [[sum(x[u * w + k] * W[k][c] for k in range(w)) for c in range(w)] for u in range(h)]
            for r in range(h):
                for c in range(w):
                    out[tile[r * w + c]] = f32(sum(half[u][c] * H[u][r] for u in range(h)))
        return out

    return 3, head, groups, back


def lowrank(tensors, key, args):
    rank, groups, parts, off = int(args), [], [], 0
    for shape, v in tensors:
        if len(shape) != 2 or rank * sum(shape) >= len(v):
            groups.append(v)
            parts.append(None)
        else:
            rows, cols = shape
            q = [[(mix(off + j * rank + c + 1) - (mix(off + j * rank + c + 1) >> 63 << 64) >> 40) / 2 ** 23 for c in range(rank)] for j in range(cols)]
            p = [[0.0] * rank for _ in range(rows)]
            for i in range(rows):
                for j in range(cols):
                    for c in range(rank):
                        p[i][c] += v[i * cols + j] * q[j][c]
            for c in range(rank):  # modified Gram-Schmidt
                for d in range(c):
                    dot = 0.0
                    for row in p:
                        dot += row[c] * row[d]
                    for row in p:
                        row[c] -= dot * row[d]
                norm = 0.0
                for row in p:
                    norm += row[c] * row[c]
                for row in p:
                    row[c] /= math.sqrt(norm)
            p = [[f32(x) for x in row] for row in p]
            q = [[0.0] * rank for _ in range(cols)]
            for i in range(rows):
                for j in range(cols):
                    for c in range(rank):
                        q[j][c] += v[i * cols + j] * p[i][c]
            groups += [[x for row in p for x in row], [f32(x) for row in q for x in row]]
            parts.append((rows, cols))
        off += len(v)

    def back(sent):
        out, rest = [], sent
        for part, (shape, v) in zip(parts, tensors):
            if part is None:
                out, rest = out + rest[:len(v)], rest[len(v):]
                continue
            rows, cols = part
            p, q, rest = rest[:rows * rank], rest[rows * rank:(rows + cols) * rank], rest[(rows + cols) * rank:]
            for i in range(rows):
                for j in range(cols):
                    x = 0.0
                    for c in range(rank):
                        x = f32(x + f32(p[i * rank + c] * q[j * rank + c]))
                    out.append(x)
        return out

    return 4, b"", groups, back


WHAT = {"": everything, "lowrank": lowrank, "dct": dct, "topk": topk, "mask": mask}


def payload(name, shapes, key, v):
    what, _, fmt = name.rpartition("+")
    kind, _, args = what.partition(":")
    tensors, at = [], 0
    for s in shapes:
        n = math.prod(s)
        tensors.append((s, v[at:at + n]))
        at += n
    what_id, head, groups, back = WHAT[kind](tensors, key, args)
    fmt_id, write = WRITE[fmt]
    body, sent = write(groups)
    frame = b"SKPG" + bytes([1, fmt_id, 0, what_id]) + struct.pack("<Q", len(v))
    return frame + head + body, back(sent)


def main():
    shapes = [[65, 64], [37], [1]]
    v = values(1, sum(math.prod(s) for s in shapes))
    key = 30
    cases = []
    for name in NAMES:
        src, decoded = payload(name, shapes, key, v)
        cases.append({"codec": name, "payload": base64.b64encode(src).decode(), "decoded_sha256": hashlib.sha256(pack(decoded)).hexdigest()})
    json.dump({"made_by": "golden.py", "shapes": shapes, "departure": key, "values": base64.b64encode(pack(v)).decode(), "cases": cases}, sys.stdout, indent=1)
    print()


NAMES = list(WRITE) + ["topk:64/4096+2bit", "topk:5/100+f32", "topk:64/64x64+2bit", "topk:9/8x8+e3m0", "topk:64/65536+1bit",
                       "mask:1/20+int8", "mask:3/7+bf16", "dct:32/64+f32", "dct:6/16+int8", "lowrank:4+bf16", "lowrank:2+f32"]

if __name__ == "__main__":
    main()
