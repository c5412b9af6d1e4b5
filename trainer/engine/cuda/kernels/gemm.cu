// Products of bfloat16 matrices, summed in F32: C[m,n] = op(A)·op(B), or C + op(A)·op(B).
//
// A block makes one tile of C. Its factors come by asynchronous copies, a ring of four steps of 32 terms. Two things bound the
// tile from below. What a warp holds, 64×64: 8 loads of matrices feed 32 mma then, 64 bytes a clock of the 128 that shared
// memory gives on an A100; 32×64 would take 96. And what a block holds: 128×256 does 85 operations for a byte from the
// second-level cache, 128×128 does 64, and a cache of 5.5 TB/s feeds 470 and 350 TFLOP/s of them. The registers bound it from
// above: 128 sums a thread. So 128×256 is for products with many tiles, 128×128, two of which share a multiprocessor and cover
// each other's barriers, for the others, and 64×64 for small ones. Shared memory: 96, 64 and 32 KiB, the first what an sm_86 has.
//
// What to expect: mma.sync reaches most of an A100's 312 TFLOP/s and about .6 of an H100's 990, whose rest needs wgmma
// (sm_90a, not in this file).
//
// The order of sums depends on the shapes only: k runs upwards in steps of 16 within mma; a product that is cut along k into
// parts (see gemm_sum) adds them in order.
#include "tile.h"

constexpr int depth = 32, stages = 4;

// `part` is the number of terms in each part of k. C has room for all parts, m·ldc apart. lda and ldb are multiples of 8.
template <int high, int wide, int perWarp, bool turnedA, bool turnedB>
DEVICE void gemm(void *c, const u16 *a, const u16 *b, int m, int n, int k, int lda, int ldb, int ldc, int part, int how) {
	using A = Tile<turnedA ? depth : high, turnedA ? high : depth>; // turned: stored [k,m]
	using B = Tile<turnedB ? wide : depth, turnedB ? depth : wide>; // turned: stored [n,k]
	constexpr int across = wide / perWarp, team = high / perWarp * across * 32, ring = A::bytes + B::bytes;

	// Blocks that run at the same time share rows and columns through the second-level cache: tiles are taken in bands of 8
	// rows of tiles, downwards first.
	const int down = (m + high - 1) / high, right = (n + wide - 1) / wide, tiles = down * right;
	const int tile = block_x() % tiles, first = tile / (8 * right) * 8, band = down - first < 8 ? down - first : 8;
	const int row = (first + tile % (8 * right) % band) * high, column = tile % (8 * right) / band * wide;

	const int start = block_x() / tiles * part, end = k - start < part ? k : start + part;
	const int steps = (end - start + depth - 1) / depth;
	a += turnedA ? (long long)start * lda + row : (long long)row * lda + start;
	b += turnedB ? (long long)column * ldb + start : (long long)start * ldb + column;

	const Shared memory = shared_address(dynamic_shared());
	auto copy = [&](int step) {
		if (step < steps) {
			const Shared to = memory + step % stages * ring;
			const int done = step * depth, left = end - start - done;
			A::template copy<team>(to, turnedA ? a + (long long)done * lda : a + done, lda, turnedA ? left : m - row, turnedA ? m - row : left);
			B::template copy<team>(to + A::bytes, turnedB ? b + done : b + (long long)done * ldb, ldb, turnedB ? n - column : left, turnedB ? left : n - column);
		}
		copy_commit(); // also an empty group: copy_wait counts them
	};
	for (int s = 0; s < stages - 1; s++)
		copy(s);

	const int y = warp() / across * perWarp, x = warp() % across * perWarp;
	float sums[perWarp / 16][perWarp / 8][4] = {};
	for (int step = 0; step < steps; step++) {
		copy_wait<stages - 2>();
		barrier(); // this step is here, and nobody reads the one that is overwritten next
		copy(step + stages - 1);
		const Shared at = memory + step % stages * ring;
		UNROLL for (int term = 0; term < depth; term += 16) {
			u32 fa[perWarp / 16][4], fb[perWarp / 16][4];
			UNROLL for (int i = 0; i < perWarp / 16; i++) A::template left<!turnedA>(fa[i], at, y + 16 * i, term);
			UNROLL for (int j = 0; j < perWarp / 16; j++) B::template right<turnedB>(fb[j], at + A::bytes, x + 16 * j, term);
			UNROLL for (int i = 0; i < perWarp / 16; i++)
				UNROLL for (int j = 0; j < perWarp / 8; j++) mma_sync(sums[i][j], fa[i], fb[j / 2] + j % 2 * 2);
		}
	}

	// The tile goes out through the ring, as many columns at once as that has room for.
	constexpr int strip = high * wide * 4 > stages * ring ? wide / 2 : wide;
	float *room = (float *)dynamic_shared();
	const long long to = (long long)(block_x() / tiles) * m * ldc;
	for (int from = 0; from < wide; from += strip) {
		barrier();
		if (x / strip * strip == from)
			UNROLL for (int i = 0; i < perWarp / 16; i++)
				UNROLL for (int j = 0; j < perWarp / 8; j++) stage<strip>(room, y + 16 * i, x % strip + 8 * j, sums[i][j]);
		barrier();
		for (int i = thread(); i < high * strip / 8; i += team) {
			const int r = i / (strip / 8), q = i % (strip / 8) * 8, col = column + from + q;
			if (row + r < m && col < n) {
				alignas(16) float out[8];
				unstage<strip>(out, room, r, q);
				store(c, to + (long long)(row + r) * ldc + col, out, n - col, how);
			}
		}
	}
}

#define GEMM(name, high, wide, perWarp, blocks, turnedA, turnedB) \
	extern "C" KERNEL __launch_bounds__(high / perWarp * (wide / perWarp) * 32, blocks) name(void *c, const u16 *a, const u16 *b, int m, int n, int k, int lda, int ldb, int ldc, int part, int how) { \
		gemm<high, wide, perWarp, turnedA, turnedB>(c, a, b, m, n, k, lda, ldb, ldc, part, how); \
	} \
	EXPORT(name)

GEMM(gemm_nt_256, 128, 256, 64, 1, false, true)
GEMM(gemm_nn_256, 128, 256, 64, 1, false, false)
GEMM(gemm_tn_256, 128, 256, 64, 1, true, false)
GEMM(gemm_nt_128, 128, 128, 64, 2, false, true)
GEMM(gemm_nn_128, 128, 128, 64, 2, false, false)
GEMM(gemm_tn_128, 128, 128, 64, 2, true, false)
GEMM(gemm_nt_64, 64, 64, 32, 4, false, true)
GEMM(gemm_nn_64, 64, 64, 32, 4, false, false)
GEMM(gemm_tn_64, 64, 64, 32, 4, true, false)

// gemm_sum adds the parts of a product that was cut along k, each of n elements, in order. A thread takes 8.
extern "C" KERNEL gemm_sum(void *c, const float *parts, int count, long long n, int how) {
	for (long long i = 8 * ((long long)block_x() * threads() + thread()); i < n; i += 8ll * blocks_x() * threads()) {
		const int left = n - i < 8 ? (int)(n - i) : 8;
		float s[8] = {};
		for (int p = 0; p < count; p++) {
			float x[8];
			load(x, parts, p * n + i, left, false, n % 4 == 0);
			UNROLL for (int j = 0; j < 8; j++) s[j] += x[j];
		}
		store(c, i, s, left, how);
	}
}
EXPORT(gemm_sum)

// gemm_operand brings a matrix into the form that products read: bfloat16, rows ld elements apart, a multiple of 8, with zeros
// behind their cols elements. from is F32, or bfloat16 if half; its rows lie fromLd elements apart.
extern "C" KERNEL gemm_operand(u16 *to, const void *from, int half, int fromLd, int rows, int cols, int ld) {
	const long long count = (long long)rows * (ld / 8);
	const bool whole = fromLd % (half ? 8 : 4) == 0 && (u64)from % 16 == 0;
	for (long long i = (long long)block_x() * threads() + thread(); i < count; i += (long long)blocks_x() * threads()) {
		const long long row = i / (ld / 8);
		const int c = (int)(i % (ld / 8)) * 8;
		float x[8];
		load(x, from, row * fromLd + c, cols - c, half, whole);
		narrow8(to + row * ld + c, x);
	}
}
EXPORT(gemm_operand)

// gemm_split takes an F32 matrix apart for a product that is nearly as good as one of F32: x = high + low + at most 2⁻¹⁷·x, both
// bfloat16. A·B is then one product with three times the terms, [high high low]·[high low high]ᵀ. Each of the three has `tall`
// rows, ld elements apart, ld a multiple of 8, with zeros behind rows and cols; the second and the third are that many
// elements behind the first. place is 1 if low is the second, 2 if it is the third.
extern "C" KERNEL gemm_split(u16 *to, const float *from, int rows, int cols, int tall, int wide, int ld, long long second, int place) {
	const long long count = (long long)tall * (wide / 8);
	const bool whole = cols % 4 == 0 && (u64)from % 16 == 0;
	for (long long i = (long long)block_x() * threads() + thread(); i < count; i += (long long)blocks_x() * threads()) {
		const long long row = i / (wide / 8);
		const int c = (int)(i % (wide / 8)) * 8;
		float x[8], low[8];
		load(x, from, row * cols + c, row < rows ? cols - c : 0, false, whole);
		UNROLL for (int j = 0; j < 8; j++) low[j] = x[j] - widen(narrow(x[j]));
		u16 *y = to + row * ld + c;
		narrow8(y, x);
		narrow8(y + second, place == 1 ? low : x);
		narrow8(y + 2 * second, place == 1 ? x : low);
	}
}
EXPORT(gemm_split)

// matmul is C[m,n] = op(A)·op(B), or C + op(A)·op(B), in F32 by fused multiply-adds, for what is too small for gemm_split. Element (i, p) of op(A) is a[i·ai + p·ap], of which ai or ap is 1; likewise B. Blocks of 256
// threads, each with 8×8 elements of a tile of 128×128: two numbers from shared memory feed 8 multiply-adds, which keeps the
// F32 units the limit (about 67 TFLOP/s on an H100, 19.5 on an A100; expect a little over half).
extern "C" KERNEL __launch_bounds__(256, 2) matmul(float *c, const float *a, const float *b, int m, int n, int k, long long ai, long long ap, long long bp, long long bj, int how) {
	constexpr int tile = 128, step = 8;
	alignas(16) __shared__ float as[step][tile + 4], bs[step][tile + 4]; // four of them are read at once
	const int down = (m + tile - 1) / tile, row = block_x() % down * tile, column = block_x() / down * tile;
	// Neighbours among threads read neighbours in memory.
	const int t = thread(), y = t / 16 * 4, x = t % 16 * 4;
	float sums[8][8] = {};
	float na[4], nb[4]; // the next step
	auto load = [&](int p0) {
		UNROLL for (int i = 0; i < 4; i++) {
			const int e = t + 256 * i;
			const int r = ap == 1 ? e / step : e % tile, p = p0 + (ap == 1 ? e % step : e / tile);
			na[i] = row + r < m && p < k ? a[(row + r) * ai + p * ap] : 0.f;
			const int q = bj == 1 ? e % tile : e / step, o = p0 + (bj == 1 ? e / tile : e % step);
			nb[i] = column + q < n && o < k ? b[o * bp + (column + q) * bj] : 0.f;
		}
	};
	load(0);
	for (int p0 = 0; p0 < k; p0 += step) {
		barrier();
		UNROLL for (int i = 0; i < 4; i++) {
			const int e = t + 256 * i;
			as[ap == 1 ? e % step : e / tile][ap == 1 ? e / step : e % tile] = na[i];
			bs[bj == 1 ? e / tile : e % step][bj == 1 ? e % tile : e / step] = nb[i];
		}
		barrier();
		load(p0 + step);
		UNROLL for (int p = 0; p < step; p++) {
			wide4 fa[2], fb[2];
			UNROLL for (int i = 0; i < 2; i++) fa[i] = *(const wide4 *)&as[p][y + 64 * i], fb[i] = *(const wide4 *)&bs[p][x + 64 * i];
			UNROLL for (int i = 0; i < 8; i++)
				UNROLL for (int j = 0; j < 8; j++) sums[i][j] = fma_(fa[i / 4].v[i % 4], fb[j / 4].v[j % 4], sums[i][j]);
		}
	}
	UNROLL for (int i = 0; i < 8; i++) UNROLL for (int j = 0; j < 8; j++) {
		const int r = row + y + i / 4 * 64 + i % 4, q = column + x + j / 4 * 64 + j % 4;
		if (r < m && q < n) {
			float *to = c + (long long)r * n + q;
			*to = how & Adding ? *to + sums[i][j] : sums[i][j];
		}
	}
}
EXPORT(matmul)
