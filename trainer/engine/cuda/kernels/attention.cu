// Causal attention (Dao 2023, arXiv 2307.08691) over packed projections, and its gradient without atomics: keys and queries
// each have a pass of their own, so that all sums have one order. That costs 7 products where one pass with atomics has 5.
//
// Rotary embeddings are applied once, by attend_rotate, which writes queries and keys of all heads as bfloat16 in rows of
// `wide` columns a head: 32, 64 or 128, the head's own number rounded up with zeros. A pair that turns together, (i, i+d/2),
// lies wide/2 apart there; scores do not see the order of columns. In the passes below every tile of keys meets many tiles
// of queries: turning them on each load would cost more than the extra trip through memory. Gradients are turned back on
// their way out. Values and dy are read where they lie if they are bfloat16, aligned to 16 bytes, else from copies.
//
// A block has four warps, and `own` rows, 128 or 64; it walks over the other side in tiles of `step` rows, two in shared memory: one
// in use, one on its way. Where a warp has two strips of 16 rows, what it loads serves four mma, else two, and shared memory is
// the limit on an H100 rather than the tensor cores: 64 rows are for heads of 128, whose results would not fit the registers.
// Scores are in units of ln 2 inside (exp2 is one instruction).
#include "tile.h"

constexpr int team = 128;
constexpr float log2e = 1.4426950408889634f, ln2 = 0.6931471805599453f;

// attend_rotate: to [rows, heads·wide] from rows ld elements apart of heads·d, F32 or bfloat16 if half. cos and sin are [time, d/2]; row r is
// at time r % time. If cos is null nothing is turned and columns keep their order. A thread has 8 pairs, or 8 columns.
extern "C" KERNEL attend_rotate(u16 *to, const void *from, int half, int ld, int rows, int heads, int d, int wide, int time, const float *cos, const float *sin) {
	const int per = wide / (cos ? 16 : 8), behind = d / 2;
	const long long count = (long long)rows * heads * per;
	const bool whole = ld % 8 == 0 && d % (cos ? 16 : 8) == 0 && (u64)from % 16 == 0;
	for (long long i = (long long)block_x() * threads() + thread(); i < count; i += (long long)blocks_x() * threads()) {
		const int c = (int)(i % per) * 8, h = (int)(i / per % heads), row = (int)(i / per / heads);
		const long long x = (long long)row * ld + h * d + c;
		u16 *y = to + ((long long)row * heads + h) * wide + c;
		float a[8], b[8], co[8], si[8];
		load(a, from, x, (cos ? behind : d) - c, half, whole);
		if (cos) {
			const long long t = (long long)(row % time) * behind + c;
			load(b, from, x + behind, behind - c, half, whole);
			load(co, cos, t, behind - c, false, whole);
			load(si, sin, t, behind - c, false, whole);
			UNROLL for (int j = 0; j < 8; j++) {
				const float u = a[j], v = b[j];
				a[j] = u * co[j] - v * si[j], b[j] = v * co[j] + u * si[j];
			}
			narrow8(y + wide / 2, b);
		}
		narrow8(y, a);
	}
}
EXPORT(attend_rotate)

// A warp has `strips` times 16 rows; what it loads of a tile of the other side serves them all.
//
// scores: s[strips][16, n] += rows·tileᵀ. rows(f, i, t) gives strip i's left factor of the 16 terms from 16·t on. Two tiles of one
// kind that lie one behind the other are one with twice the rows: the second starts at row `skip`, a constant.
template <class T, int wide, int n, int strips, class Rows> DEVICE void scores(float (*s)[n / 8][4], Shared tile, int skip, Rows rows) {
	UNROLL for (int t = 0; t < wide / 16; t++) {
		u32 left[strips][4];
		UNROLL for (int i = 0; i < strips; i++) rows(left[i], i, t);
		UNROLL for (int j = 0; j < n / 16; j++) {
			u32 right[4];
			T::template right<true>(right, tile, skip + 16 * j, 16 * t);
			UNROLL for (int i = 0; i < strips; i++) {
				mma_sync(s[i][2 * j], left[i], right);
				mma_sync(s[i][2 * j + 1], left[i], right + 2);
			}
		}
	}
}

// mask takes the keys that lie behind their query out of s[strips][16, n]: −∞ becomes a weight of 0. ahead is how far the lane's
// first row lies ahead of its first column. Rows are queries and columns keys or, if turned, the other way round. Only tiles on
// the diagonal need it: elsewhere it would cost as much as the weights themselves.
template <int n, int strips, bool turned> DEVICE void mask(float (*s)[n / 8][4], int ahead) {
	UNROLL for (int i = 0; i < strips; i++) UNROLL for (int j = 0; j < n / 8; j++) UNROLL for (int c = 0; c < 4; c++) {
		const int apart = 8 * j + c % 2 - 16 * i - c / 2 * 8;
		if (turned ? apart < ahead : apart > ahead)
			s[i][j][c] = -__builtin_inff();
	}
}

// weighted: x[strips][16, wide] += s·tile, s as scores leaves it.
template <class T, int wide, int n, int strips> DEVICE void weighted(float (*x)[wide / 8][4], const float (*s)[n / 8][4], Shared tile, int skip) {
	UNROLL for (int t = 0; t < n / 16; t++) {
		u32 left[strips][4];
		UNROLL for (int i = 0; i < strips; i++) {
			const float *lo = s[i][2 * t], *hi = s[i][2 * t + 1];
			left[i][0] = narrow2(lo[0], lo[1]), left[i][1] = narrow2(lo[2], lo[3]);
			left[i][2] = narrow2(hi[0], hi[1]), left[i][3] = narrow2(hi[2], hi[3]);
		}
		UNROLL for (int j = 0; j < wide / 16; j++) {
			u32 right[4];
			T::template right<false>(right, tile, 16 * j, skip + 16 * t);
			UNROLL for (int i = 0; i < strips; i++) {
				mma_sync(x[i][2 * j], left[i], right);
				mma_sync(x[i][2 * j + 1], left[i], right + 2);
			}
		}
	}
}

// put stores 16 rows, high of them, of a result of d columns: rows ld elements apart from element i on. If cos is not null,
// columns are as attend_rotate leaves them and turned back; cos and sin are those of the first row. room is the warp's own,
// 16·wide F32.
template <int wide> DEVICE void put(void *to, long long i, int ld, int high, int d, const float (*x)[4], float *room, const float *cos, const float *sin, int how) {
	warp_sync();
	UNROLL for (int j = 0; j < wide / 8; j++) stage<wide>(room, 0, 8 * j, x[j]);
	warp_sync();
	const int across = cos ? wide / 2 : wide, half = d / 2;
	for (int n = lane(); n < 16 * across / 8; n += 32) {
		const int row = n / (across / 8), c = n % (across / 8) * 8;
		if (row >= high)
			continue;
		const long long at = i + (long long)row * ld + c;
		alignas(16) float a[8], b[8];
		unstage<wide>(a, room, row, c);
		if (!cos) {
			if (c < d)
				store(to, at, a, d - c, how);
			continue;
		}
		unstage<wide>(b, room, row, c + wide / 2);
		const bool whole = half % 8 == 0;
		float co[8], si[8];
		load(co, cos, row * half + c, half - c, false, whole);
		load(si, sin, row * half + c, half - c, false, whole);
		UNROLL for (int j = 0; j < 8; j++) {
			const float u = a[j], v = b[j];
			a[j] = u * co[j] + v * si[j], b[j] = v * co[j] - u * si[j];
		}
		if (c < half) {
			store(to, at, a, half - c, how);
			store(to, at + half, b, half - c, how);
		}
	}
}

// attend: y and lse of `own` queries of one head. q and k as attend_rotate leaves them; a row of v is ldv elements, a head in it
// headv. The grid is [tiles of queries, batch·heads], the last tiles, which have most to do, first.
template <int wide, int own> DEVICE void attend(void *y, float *lse, const u16 *q, const u16 *k, const u16 *v, int ldv, int headv, int time, int heads, int kvheads, int d, float scale, int how) {
	constexpr int step = 64, strips = own / 64; // a warp has `strips` times 16 queries
	using Q = Tile<own, wide>;
	using K = Tile<step, wide>;
	const int b = block_y() / heads, h = block_y() % heads, kv = h / (heads / kvheads);
	const int q0 = ((time + own - 1) / own - 1 - block_x()) * own, end = q0 + own < time ? q0 + own : time, tiles = (end + step - 1) / step;
	q += ((long long)(b * time + q0) * heads + h) * wide;
	k += ((long long)b * time * kvheads + kv) * wide;
	v += (long long)b * time * ldv + kv * headv;

	const Shared memory = shared_address(dynamic_shared()), ring = memory + Q::bytes;
	auto copy = [&](int t) {
		if (t < tiles) {
			const Shared to = ring + t % 2 * (2 * K::bytes);
			K::template copy<team>(to, k + (long long)t * step * kvheads * wide, kvheads * wide, time - t * step, wide);
			K::template copy<team>(to + K::bytes, v + (long long)t * step * ldv, ldv, time - t * step, d);
		}
		copy_commit();
	};
	Q::template copy<team>(memory, q, heads * wide, time - q0, wide);
	copy(0);
	copy_wait<0>();
	barrier();
	const int first = q0 + warp() * 16 * strips; // the warp's first query
	u32 queries[strips][wide / 16][4];
	UNROLL for (int i = 0; i < strips; i++)
		UNROLL for (int n = 0; n < wide / 16; n++) Q::template left<true>(queries[i][n], memory, first - q0 + 16 * i, 16 * n);

	const float unit = scale * log2e, low = -__builtin_inff();
	float out[strips][wide / 8][4] = {}, top[strips][2], sum[strips][2];
	UNROLL for (int i = 0; i < strips; i++) UNROLL for (int r = 0; r < 2; r++) top[i][r] = low, sum[i][r] = 0;
	for (int t = 0; t < tiles; t++) {
		copy_wait<0>();
		barrier();
		copy(t + 1);
		if (t * step >= first + 16 * strips)
			continue; // all keys of the tile lie behind the warp's queries
		const Shared at = ring + t % 2 * (2 * K::bytes);
		float s[strips][step / 8][4] = {};
		scores<K, wide, step, strips>(s, at, 0, [&](u32 *f, int i, int n) { UNROLL for (int r = 0; r < 4; r++) f[r] = queries[i][n][r]; });
		if (t * step + step > first)
			mask<step, strips, false>(s, first + lane() / 4 - t * step - lane() % 4 * 2);
		UNROLL for (int i = 0; i < strips; i++) UNROLL for (int r = 0; r < 2; r++) {
			float most = top[i][r], add = 0;
			UNROLL for (int j = 0; j < step / 8; j++) most = max_(most, max_(s[i][j][2 * r], s[i][j][2 * r + 1]));
			most = max_(most, shuffle_xor_sync(most, 1));
			most = max_(most, shuffle_xor_sync(most, 2)); // finite: every query has a key in the first tile
			const float fade = exp2_((top[i][r] - most) * unit), base = most * unit;
			top[i][r] = most;
			UNROLL for (int j = 0; j < step / 8; j++) UNROLL for (int c = 2 * r; c < 2 * r + 2; c++) {
				s[i][j][c] = exp2_(fma_(s[i][j][c], unit, -base));
				add += s[i][j][c];
			}
			sum[i][r] = fma_(sum[i][r], fade, add);
			UNROLL for (int j = 0; j < wide / 8; j++) out[i][j][2 * r] *= fade, out[i][j][2 * r + 1] *= fade;
		}
		weighted<K, wide, step, strips>(out, s, at, step);
	}

	barrier();
	float *room = (float *)dynamic_shared() + warp() * 16 * wide;
	UNROLL for (int i = 0; i < strips; i++) {
		const int from = first + 16 * i;
		UNROLL for (int r = 0; r < 2; r++) {
			float all = sum[i][r];
			all += shuffle_xor_sync(all, 1);
			all += shuffle_xor_sync(all, 2);
			const int row = from + lane() / 4 + 8 * r;
			if (lane() % 4 == 0 && row < time)
				lse[(long long)block_y() * time + row] = (top[i][r] * unit + log2_(all)) * ln2;
			const float share = 1.f / all;
			UNROLL for (int j = 0; j < wide / 8; j++) out[i][j][2 * r] *= share, out[i][j][2 * r + 1] *= share;
		}
		put<wide>(y, ((long long)(b * time + from) * heads + h) * d, heads * d, time - from, d, out[i], room, nullptr, nullptr, how);
	}
}

#define ATTEND(name, wide, own) \
	extern "C" KERNEL __launch_bounds__(team, 2) name(void *y, float *lse, const u16 *q, const u16 *k, const u16 *v, int ldv, int headv, int time, int heads, int kvheads, int d, float scale, int how) { \
		attend<wide, own>(y, lse, q, k, v, ldv, headv, time, heads, kvheads, d, scale, how); \
	} \
	EXPORT(name)

ATTEND(attend_32, 32, 128)
ATTEND(attend_64, 64, 128)
ATTEND(attend_128, 128, 64) // 128 queries would take all registers

// attend_mean: mean[b,h,t] = dy·y over the columns of a head, which is what the gradient of a softmax takes off. y is F32, or bfloat16
// if half. dy is what the passes below read: a row is lddy elements, a head in it headdy. A warp has a row of a head.
extern "C" KERNEL attend_mean(float *mean, const u16 *dy, const void *y, int half, int lddy, int headdy, int rows, int time, int heads, int d) {
	const int i = block_x() * (threads() / 32) + warp(), row = i / heads, h = i % heads;
	if (row >= rows)
		return;
	float s = 0;
	for (int c = lane(); c < d; c += 32) {
		const long long at = (long long)i * d + c;
		s = fma_(widen(dy[(long long)row * lddy + h * headdy + c]), half ? widen(((const u16 *)y)[at]) : ((const float *)y)[at], s);
	}
	s = warp_sum_sync(s);
	if (lane() == 0)
		mean[((long long)(row / time) * heads + h) * time + row % time] = s;
}
EXPORT(attend_mean)

// What both passes of the gradient read. q and k as attend_rotate leaves them; a row of v is ldv elements, a head in it headv, those
// of dy lddy and headdy. mean as from attend_mean. Results go to dqkv, rows of (heads + 2·kvheads)·d.
#define GRADIENT_ARGS \
	void *dqkv, const u16 *q, const u16 *k, const u16 *v, const u16 *dy, const float *lse, const float *mean, const float *cos, const float *sin, \
		int ldv, int headv, int lddy, int headdy, int time, int heads, int kvheads, int d, float scale, int how
#define GRADIENT_NAMES dqkv, q, k, v, dy, lse, mean, cos, sin, ldv, headv, lddy, headdy, time, heads, kvheads, d, scale, how

// attend_keys: dk and dv of `own` keys of one key head, over all its query heads and the queries from the keys on, `step` at a time.
// Scores are transposed here: a row is a key. The grid is [tiles of keys, batch·kvheads].
template <int wide, int own, int step> DEVICE void attend_keys(GRADIENT_ARGS) {
	constexpr int strips = own / 64;
	using K = Tile<own, wide>;
	using Q = Tile<step, wide>;
	constexpr int half = 2 * Q::bytes + 2 * 4 * step; // of the ring: q, dy, lse, mean
	const int b = block_y() / kvheads, kv = block_y() % kvheads, group = heads / kvheads, k0 = block_x() * own;
	const int begin = k0 / step, tiles = (time + step - 1) / step - begin;

	const Shared memory = shared_address(dynamic_shared()), ring = memory + 2 * K::bytes;
	auto copy = [&](int n) {
		if (n < group * tiles) {
			const Shared to = ring + n % 2 * half;
			const int h = kv * group + n / tiles, t0 = (begin + n % tiles) * step;
			const long long row = b * time + t0;
			Q::template copy<team>(to, q + (row * heads + h) * wide, heads * wide, time - t0, wide);
			Q::template copy<team>(to + Q::bytes, dy + row * lddy + h * headdy, lddy, time - t0, d);
			const long long at = (long long)(b * heads + h) * time + t0;
			const int i = thread() % step, take = t0 + i < time ? 4 : 0;
			if (thread() < step)
				copy_async4(to + 2 * Q::bytes + 4 * i, take ? lse + at + i : lse, take);
			else if (thread() < 2 * step)
				copy_async4(to + 2 * Q::bytes + 4 * step + 4 * i, take ? mean + at + i : mean, take);
		}
		copy_commit();
	};
	K::template copy<team>(memory, k + ((long long)(b * time + k0) * kvheads + kv) * wide, kvheads * wide, time - k0, wide);
	K::template copy<team>(memory + K::bytes, v + (long long)(b * time + k0) * ldv + kv * headv, ldv, time - k0, d);
	copy(0);

	const int first = k0 + warp() * 16 * strips; // the warp's first key
	const Shared mine = memory + warp() * 16 * strips * K::line;
	const float unit = scale * log2e;
	float dk[strips][wide / 8][4] = {}, dv[strips][wide / 8][4] = {};
	for (int n = 0; n < group * tiles; n++) {
		copy_wait<0>();
		barrier();
		copy(n + 1);
		const int t0 = (begin + n % tiles) * step;
		if (t0 + step <= first)
			continue; // all queries of the tile lie before the warp's keys
		const int turn = n % 2 * half;
		const float *logs = (const float *)(dynamic_shared() + 2 * K::bytes + turn + 2 * Q::bytes) + lane() % 4 * 2, *means = logs + step;
		const Shared at = ring + turn;
		float p[strips][step / 8][4] = {}, ds[strips][step / 8][4] = {};
		scores<Q, wide, step, strips>(p, at, 0, [&](u32 *f, int i, int t) { K::template left<true>(f, mine, 16 * i, 16 * t); });
		scores<Q, wide, step, strips>(ds, at, step, [&](u32 *f, int i, int t) { K::template left<true>(f, mine, own + 16 * i, 16 * t); });
		if (t0 < first + 16 * strips)
			mask<step, strips, true>(p, first + lane() / 4 - t0 - lane() % 4 * 2);
		UNROLL for (int j = 0; j < step / 8; j++) UNROLL for (int c = 0; c < 2; c++) {
			const float log = logs[8 * j + c] * log2e, mean = means[8 * j + c];
			UNROLL for (int i = 0; i < strips; i++) UNROLL for (int r = 0; r < 2; r++) {
				float &w = p[i][j][2 * r + c], &g = ds[i][j][2 * r + c];
				w = exp2_(fma_(w, unit, -log)); // past the end of time q and dy are 0, and so is all that is added
				g = w * (g - mean);
			}
		}
		weighted<Q, wide, step, strips>(dv, p, at, step);
		weighted<Q, wide, step, strips>(dk, ds, at, 0);
	}

	barrier();
	const int ld = (heads + 2 * kvheads) * d;
	float *room = (float *)dynamic_shared() + warp() * 16 * wide;
	UNROLL for (int i = 0; i < strips; i++) {
		const int row = first + 16 * i, turned = row < time ? row * (d / 2) : 0;
		UNROLL for (int j = 0; j < wide / 8; j++) UNROLL for (int c = 0; c < 4; c++) dk[i][j][c] *= scale;
		const long long to = (long long)(b * time + row) * ld + (heads + kv) * d;
		put<wide>(dqkv, to, ld, time - row, d, dk[i], room, cos + turned, sin + turned, how);
		put<wide>(dqkv, to + kvheads * d, ld, time - row, d, dv[i], room, nullptr, nullptr, how);
	}
}

// attend_queries: dq of `own` queries of one head, over the keys up to them, `step` at a time. The grid is as attend's.
template <int wide, int own, int step> DEVICE void attend_queries(GRADIENT_ARGS) {
	constexpr int strips = own / 64;
	using Q = Tile<own, wide>;
	using K = Tile<step, wide>;
	const int b = block_y() / heads, h = block_y() % heads, kv = h / (heads / kvheads);
	const int q0 = ((time + own - 1) / own - 1 - block_x()) * own, end = q0 + own < time ? q0 + own : time, tiles = (end + step - 1) / step;
	k += ((long long)b * time * kvheads + kv) * wide;
	v += (long long)b * time * ldv + kv * headv;

	const Shared memory = shared_address(dynamic_shared()), ring = memory + 2 * Q::bytes;
	auto copy = [&](int t) {
		if (t < tiles) {
			const Shared to = ring + t % 2 * (2 * K::bytes);
			K::template copy<team>(to, k + (long long)t * step * kvheads * wide, kvheads * wide, time - t * step, wide);
			K::template copy<team>(to + K::bytes, v + (long long)t * step * ldv, ldv, time - t * step, d);
		}
		copy_commit();
	};
	Q::template copy<team>(memory, q + ((long long)(b * time + q0) * heads + h) * wide, heads * wide, time - q0, wide);
	Q::template copy<team>(memory + Q::bytes, dy + (long long)(b * time + q0) * lddy + h * headdy, lddy, time - q0, d);
	copy(0);

	const int first = q0 + warp() * 16 * strips; // the warp's first query
	const Shared mine = memory + warp() * 16 * strips * Q::line;
	const float unit = scale * log2e;
	float logs[strips][2], means[strips][2];
	UNROLL for (int i = 0; i < strips; i++) UNROLL for (int r = 0; r < 2; r++) {
		const int row = first + 16 * i + lane() / 4 + 8 * r;
		const long long at = (long long)block_y() * time + row;
		logs[i][r] = row < time ? lse[at] * log2e : 0.f, means[i][r] = row < time ? mean[at] : 0.f;
	}
	float dq[strips][wide / 8][4] = {};
	for (int t = 0; t < tiles; t++) {
		copy_wait<0>();
		barrier();
		copy(t + 1);
		if (t * step >= first + 16 * strips)
			continue; // all keys of the tile lie behind the warp's queries
		const Shared at = ring + t % 2 * (2 * K::bytes);
		float p[strips][step / 8][4] = {}, ds[strips][step / 8][4] = {};
		scores<K, wide, step, strips>(p, at, 0, [&](u32 *f, int i, int n) { Q::template left<true>(f, mine, 16 * i, 16 * n); });
		scores<K, wide, step, strips>(ds, at, step, [&](u32 *f, int i, int n) { Q::template left<true>(f, mine, own + 16 * i, 16 * n); });
		if (t * step + step > first)
			mask<step, strips, false>(p, first + lane() / 4 - t * step - lane() % 4 * 2);
		UNROLL for (int i = 0; i < strips; i++) UNROLL for (int j = 0; j < step / 8; j++) UNROLL for (int c = 0; c < 4; c++) {
			const float w = exp2_(fma_(p[i][j][c], unit, -logs[i][c / 2]));
			ds[i][j][c] = w * (ds[i][j][c] - means[i][c / 2]);
		}
		weighted<K, wide, step, strips>(dq, ds, at, 0);
	}

	barrier();
	const int ld = (heads + 2 * kvheads) * d;
	float *room = (float *)dynamic_shared() + warp() * 16 * wide;
	UNROLL for (int i = 0; i < strips; i++) {
		const int row = first + 16 * i, turned = row < time ? row * (d / 2) : 0;
		UNROLL for (int j = 0; j < wide / 8; j++) UNROLL for (int c = 0; c < 4; c++) dq[i][j][c] *= scale;
		put<wide>(dqkv, (long long)(b * time + row) * ld + h * d, ld, time - row, d, dq[i], room, cos + turned, sin + turned, how);
	}
}

#define ATTEND_GRADIENT(pass, wide, own, step) \
	extern "C" KERNEL __launch_bounds__(team, 2) pass##_##wide(GRADIENT_ARGS) { pass<wide, own, step>(GRADIENT_NAMES); } \
	EXPORT(pass##_##wide)

ATTEND_GRADIENT(attend_keys, 32, 128, 32)
ATTEND_GRADIENT(attend_keys, 64, 128, 32)
ATTEND_GRADIENT(attend_keys, 128, 64, 32)
ATTEND_GRADIENT(attend_queries, 32, 128, 32)
ATTEND_GRADIENT(attend_queries, 64, 128, 32)
ATTEND_GRADIENT(attend_queries, 128, 64, 32)
