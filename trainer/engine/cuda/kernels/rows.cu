// Kernels over rows: embedding, norms, gates.
#include "operand.h"

// ---- embedding ----

template <int W> DEVICE void embed_row(void *y, const float *table, int id, int d, int form) {
	const long to = (long)block_x() * d, from = (long)id * d;
	for (int j = W * thread(); j < d; j += W * threads())
		store<W>(y, form, 0, to + j, load<W>(table, 0, 0, from + j));
}

// y[i] = table[ids[i]], a block for each i; operand y.
extern "C" KERNEL embed(void *y, const float *table, const int *ids, int d, int form) {
	EITHER_WIDTH(form, embed_row, y, table, ids[block_x()], d, form);
}
EXPORT(embed)

// dtable[ids[i]] += dy[i] in the order of i; operand dy. The block of the first token of an id adds the rows of all tokens of
// that id, the others have nothing to do. block_y is a stretch of 4·threads() columns. Blocks of 256 threads.
extern "C" KERNEL embed_grad(float *table, const void *dy, const int *ids, int n, int d, int form) {
	__shared__ u32 matches[8];
	const int i = block_x(), id = ids[i], column = 4 * threads() * block_y() + thread();
	for (int end = i; end > 0; end -= threads()) { // backwards: the same id is often near
		const int j = end - 1 - thread();
		matches[warp()] = ballot_sync(j >= 0 && ids[j] == id);
		barrier();
		u32 any = 0;
		UNROLL for (int w = 0; w < 8; w++) any |= matches[w];
		if (any)
			return;
		barrier();
	}
	float sums[4];
	UNROLL for (int k = 0; k < 4; k++) {
		const int c = column + k * threads();
		sums[k] = c < d ? table[(long)id * d + c] : 0.f;
	}
	for (int from = i; from < n; from += threads()) {
		const int j = from + thread();
		matches[warp()] = ballot_sync(j < n && ids[j] == id);
		barrier();
		for (int w = 0; w < 8; w++)
			for (u32 rest = matches[w]; rest; rest &= rest - 1) {
				const long row = (long)(from + 32 * w + lowest_bit(rest)) * d;
				UNROLL for (int k = 0; k < 4; k++) {
					const int c = column + k * threads();
					if (c < d)
						sums[k] += load(dy, form, 0, row + c);
				}
			}
		barrier();
	}
	UNROLL for (int k = 0; k < 4; k++) {
		const int c = column + k * threads();
		if (c < d)
			table[(long)id * d + c] = sums[k];
	}
}
EXPORT(embed_grad)

// ---- norms ----

// Rows that are normalised: `per` of them lie side by side in each line of a matrix whose lines are `line` elements apart; the
// first `first_kind` of a line have weights w[0..d), the others w[d..2d). A plain RMSNorm is 1 to a line.
struct Rows { int d, per, line, first_kind; };

DEVICE long row_at(const Rows &r, int row) { return (long)(row / r.per) * r.line + (long)(row % r.per) * r.d; }
DEVICE const float *row_weights(const Rows &r, int row, const float *w) { return row % r.per < r.first_kind ? w : w + r.d; }

// row_of_warp is the row that a warp works on: one each.
DEVICE int row_of_warp() { return block_x() * (threads() / 32) + warp(); }

template <int W> DEVICE void norm_row(void *y, float *rstd, const void *x, const float *w, const Rows &r, int row, float eps, int form) {
	const long at = row_at(r, row);
	w = row_weights(r, row, w);
	float sum = 0;
	for (int j = W * lane(); j < r.d; j += W * 32) {
		const Part<W> p = load<W>(x, form, 1, at + j);
		UNROLL for (int k = 0; k < W; k++) sum = fma_(p.v[k], p.v[k], sum);
	}
	const float scale = 1.f / sqrt_(warp_sum_sync(sum) / r.d + eps);
	if (lane() == 0)
		rstd[row] = scale;
	for (int j = W * lane(); j < r.d; j += W * 32) {
		Part<W> p = load<W>(x, form, 1, at + j);
		const Part<W> q = load<W>(w, 0, 0, j);
		UNROLL for (int k = 0; k < W; k++) p.v[k] *= scale * q.v[k];
		store<W>(y, form, 0, at + j, p);
	}
}

// y = x·rstd·w, rstd[row] = 1/√(mean(x²)+eps), a warp for each of n rows; operands y, x.
extern "C" KERNEL norm(void *y, float *rstd, const void *x, const float *w, int n, int d, int per, int line, int first_kind, float eps, int form) {
	const Rows r{d, per, line, first_kind};
	const int row = row_of_warp();
	if (row < n)
		EITHER_WIDTH(form, norm_row, y, rstd, x, w, r, row, eps, form);
}
EXPORT(norm)

template <int W>
DEVICE void norm_grad_row(void *dx, const void *dy, const void *x, const float *w, const float *rstd, const void *skip, const Rows &r, int row, int form) {
	const long at = row_at(r, row);
	w = row_weights(r, row, w);
	float sum = 0;
	for (int j = W * lane(); j < r.d; j += W * 32) {
		const Part<W> g = load<W>(dy, form, 1, at + j), p = load<W>(x, form, 2, at + j), q = load<W>(w, 0, 0, j);
		UNROLL for (int k = 0; k < W; k++) sum = fma_(g.v[k] * q.v[k], p.v[k], sum);
	}
	const float s = rstd[row], c = warp_sum_sync(sum) * s * s * s / r.d;
	for (int j = W * lane(); j < r.d; j += W * 32) {
		Part<W> g = load<W>(dy, form, 1, at + j);
		const Part<W> p = load<W>(x, form, 2, at + j), q = load<W>(w, 0, 0, j);
		UNROLL for (int k = 0; k < W; k++) g.v[k] = s * g.v[k] * q.v[k] - c * p.v[k];
		if (skip) {
			const Part<W> around = load<W>(skip, form, 3, at + j);
			UNROLL for (int k = 0; k < W; k++) g.v[k] += around.v[k];
		}
		store<W>(dx, form, 0, at + j, g);
	}
}

// dx = rstd·(dy·w − x·rstd²·mean(dy·w·x)) + skip, if there is one, a warp for each of n rows; operands dx, dy, x, skip.
extern "C" KERNEL norm_grad(void *dx, const void *dy, const void *x, const float *w, const float *rstd, const void *skip, int n, int d, int per,
	int line, int first_kind, int form) {
	const Rows r{d, per, line, first_kind};
	const int row = row_of_warp();
	if (row < n)
		EITHER_WIDTH(form, norm_grad_row, dx, dy, x, w, rstd, skip, r, row, form);
}
EXPORT(norm_grad)

// The gradient of a norm's weights, part by part: parts[block_y][kind][j] = Σ dy·x·rstd over the lines
// [block_y·share, (block_y+1)·share) of n, each warp of the block every eighth. block_x is a stretch of 32 columns, block_z the
// kind. Blocks of 256 threads; operands dy, x.
extern "C" KERNEL norm_weights(float *parts, const void *dy, const void *x, const float *rstd, int n, int share, int d, int per, int line,
	int first_kind, int kinds, int form) {
	__shared__ float sums[8][32];
	const int column = 32 * block_x() + lane(), kind = block_z();
	const int from = kind ? first_kind : 0, to = kind || kinds == 1 ? per : first_kind;
	const int lo = block_y() * share, hi = lo + share < n ? lo + share : n;
	float s = 0;
	if (column < d)
		for (int t = lo + warp(); t < hi; t += 8)
			for (int h = from; h < to; h++) {
				const long i = (long)t * line + (long)h * d + column;
				s = fma_(load(dy, form, 0, i) * load(x, form, 1, i), rstd[(long)t * per + h], s);
			}
	sums[warp()][lane()] = s;
	barrier();
	if (warp() == 0 && column < d) {
		s = 0;
		UNROLL for (int w = 0; w < 8; w++) s += sums[w][lane()];
		parts[((long)block_y() * kinds + kind) * d + column] = s;
	}
}
EXPORT(norm_weights)

// sum[j] += Σ parts[k][j] over k in order, j below n.
extern "C" KERNEL add_parts(float *sum, const float *parts, int count, int n) {
	const long j = element();
	if (j >= n)
		return;
	float s = sum[j];
	for (int k = 0; k < count; k++)
		s += parts[(long)k * n + j];
	sum[j] = s;
}
EXPORT(add_parts)

// dst = src for the columns [from, to) of lines that are `line` elements apart, a block for each line; operands dst, src.
extern "C" KERNEL copy_columns(void *dst, const void *src, int line, int from, int to, int form) {
	const long at = (long)block_x() * line;
	for (int j = from + thread(); j < to; j += threads())
		store(dst, form, 0, at + j, load(src, form, 1, at + j));
}
EXPORT(copy_columns)

// ---- gates ----

DEVICE float sigmoid(float x) { return 1.f / (1.f + exp2_(-1.44269504f * x)); }

template <int W> DEVICE void swiglu_row(void *y, const void *gu, int f, int form) {
	const long to = (long)block_x() * f, from = 2 * to;
	for (int j = W * thread(); j < f; j += W * threads()) {
		Part<W> g = load<W>(gu, form, 1, from + j);
		const Part<W> u = load<W>(gu, form, 1, from + f + j);
		UNROLL for (int k = 0; k < W; k++) g.v[k] *= sigmoid(g.v[k]) * u.v[k];
		store<W>(y, form, 0, to + j, g);
	}
}

// y = silu(gate)·up, a block for each row of f; operands y, gu.
extern "C" KERNEL swiglu(void *y, const void *gu, int f, int form) { EITHER_WIDTH(form, swiglu_row, y, gu, f, form); }
EXPORT(swiglu)

template <int W> DEVICE void swiglu_grad_row(void *dgu, const void *dy, const void *gu, int f, int form) {
	const long to = 2 * (long)block_x() * f, from = (long)block_x() * f;
	for (int j = W * thread(); j < f; j += W * threads()) {
		Part<W> g = load<W>(gu, form, 2, to + j), u = load<W>(gu, form, 2, to + f + j);
		const Part<W> d = load<W>(dy, form, 1, from + j);
		UNROLL for (int k = 0; k < W; k++) {
			const float s = sigmoid(g.v[k]), gate = g.v[k];
			g.v[k] = d.v[k] * u.v[k] * s * (1.f + gate * (1.f - s));
			u.v[k] = d.v[k] * gate * s;
		}
		store<W>(dgu, form, 0, to + j, g);
		store<W>(dgu, form, 0, to + f + j, u);
	}
}

// dgate = dy·up·s·(1 + gate·(1−s)), dup = dy·gate·s with s = σ(gate), a block for each row of f; operands dgu, dy, gu.
extern "C" KERNEL swiglu_grad(void *dgu, const void *dy, const void *gu, int f, int form) {
	EITHER_WIDTH(form, swiglu_grad_row, dgu, dy, gu, f, form);
}
EXPORT(swiglu_grad)
