// Tiles of bfloat16 in shared memory and the fragments that mma takes from them.
#pragma once
#include "device.h"

// Tile is `rows` rows of `cols` bfloat16, cut into chunks of 16 bytes. Eight rows of one chunk, which is what a load of
// matrices reads, would meet in one of the eight groups of banks; so the place of a chunk is turned by its row, and they
// meet in all eight. Tiles lie at multiples of 128 bytes.
//
// Addresses are built so that little of them is kept in registers: what depends on the lane is one number for all loads of a
// pattern, and what depends on the place is a constant to be added or, within 128 bytes, to be turned by.
template <int rows, int cols> struct Tile {
	static constexpr int chunks = cols / 8, line = 16 * chunks, bytes = rows * line;
	static_assert(chunks == 4 || chunks % 8 == 0, "a row is 64 bytes or a multiple of 128");

	static DEVICE_MEMBER int at(int row, int chunk) { return row * line + (chunk ^ (chunks == 4 ? row >> 1 & 3 : row & 7)) * 16; }

	// copy queues the copy of a matrix whose rows lie ld elements apart, ld a multiple of 8 and `from` aligned to 16 bytes.
	// It has high rows and wide columns, which may be more than the tile holds, or none; the tile is filled up with zeros,
	// and nothing outside the matrix is read. All `team` threads of the block share the work.
	template <int team> static DEVICE_MEMBER void copy(Shared to, const u16 *from, int ld, int high, int wide) {
		constexpr int step = team / chunks; // rows
		static_assert(step % 8 == 0 && rows % step == 0, "a thread's chunks are turned alike");
		const int row = thread() / chunks, chunk = thread() % chunks;
		const int left = 2 * wide - 16 * chunk, take = left < 0 ? 0 : left < 16 ? left : 16;
		to += at(row, chunk);
		from += (long long)row * ld + 8 * chunk;
		UNROLL for (int n = 0; n < rows / step; n++) {
			copy_async(to + n * step * line, from, row + n * step < high ? take : 0);
			from += (long long)step * ld;
		}
	}

	// A factor of a product is upright if its sums run along the rows of the tile, else lying. left loads 16 rows of the left
	// factor from `row` on and 16 terms from `term` on; right 16 columns of the right factor, as two fragments of 8. Both start
	// at multiples of 16.
	template <bool upright> static DEVICE_MEMBER void left(u32 *f, Shared tile, int row, int term) {
		if (upright)
			load_matrices_sync(f, place(tile + down(), row, term));
		else
			load_matrices_transposed_sync(f, place(tile + across(), term, row));
	}
	template <bool upright> static DEVICE_MEMBER void right(u32 *f, Shared tile, int column, int term) {
		if (upright)
			load_matrices_sync(f, place(tile + across(), column, term));
		else
			load_matrices_transposed_sync(f, place(tile + down(), term, column));
	}

	// down and across are the lane's row among four matrices: the second one below the first, or beside it.
	static DEVICE_MEMBER int down() { return at(lane() % 16, lane() / 16); }
	static DEVICE_MEMBER int across() { return at(lane() % 8 + lane() / 16 * 8, lane() / 8 % 2); }
	static DEVICE_MEMBER Shared place(Shared p, int row, int column) {
		return turned(p, column * 2 % 128) + row * line + column * 2 / 128 * 128;
	}
};

// staged is where element (row, column) of a result lies in shared memory on its way out, in rows of `wide` F32: fragments go
// in by two elements, rows come out by eight, so that a warp stores whole lines. Chunks of four are turned by their row: the
// rows of a fragment meet in different banks.
template <int wide> DEVICE float *staged(float *room, int row, int column) {
	return room + row * wide + (column / 4 ^ (row & 3) << 1) * 4 + column % 4;
}
template <int wide> DEVICE void stage(float *room, int row, int column, const float *fragment) {
	row += lane() / 4, column += lane() % 4 * 2;
	*(wide2 *)staged<wide>(room, row, column) = {{fragment[0], fragment[1]}};
	*(wide2 *)staged<wide>(room, row + 8, column) = {{fragment[2], fragment[3]}};
}
template <int wide> DEVICE void unstage(float *x, float *room, int row, int column) {
	*(wide4 *)x = *(wide4 *)staged<wide>(room, row, column);
	*(wide4 *)(x + 4) = *(wide4 *)staged<wide>(room, row, column + 4);
}

// load reads count elements, up to 8, of a row of F32 or, if half, bfloat16, from element i on; zeros behind. whole: i is at a multiple of 16 bytes.
DEVICE void load(float *x, const void *from, long long i, int count, bool half, bool whole) {
	if (whole && count >= 8) {
		if (half) {
			const half8 v = *(const half8 *)((const u16 *)from + i);
			UNROLL for (int j = 0; j < 8; j++) x[j] = widen(v.v[j]);
		} else {
			UNROLL for (int h = 0; h < 8; h += 4) {
				const wide4 v = *(const wide4 *)((const float *)from + i + h);
				UNROLL for (int j = 0; j < 4; j++) x[h + j] = v.v[j];
			}
		}
		return;
	}
	UNROLL for (int j = 0; j < 8; j++) x[j] = j >= count ? 0.f : half ? widen(((const u16 *)from)[i + j]) : ((const float *)from)[i + j];
}

// narrow8 rounds 8 elements on their way to an address that is a multiple of 16.
DEVICE void narrow8(u16 *to, const float *x) {
	union { half8 all; u32 pair[4]; };
	UNROLL for (int j = 0; j < 4; j++) pair[j] = narrow2(x[2 * j], x[2 * j + 1]);
	*(half8 *)to = all;
}

// How results are stored, bits of a kernel's argument `how`.
enum { AsBF16 = 1, Whole = 2, Adding = 4 }; // else F32; rows start at multiples of 16 bytes; to F32 that is there

// store puts up to 8 results in a row, count of them, at element i of to.
DEVICE void store(void *to, long long i, const float *x, int count, int how) {
	if (how & AsBF16) {
		u16 *y = (u16 *)to + i;
		if (how & Whole && count >= 8) {
			narrow8(y, x);
			return;
		}
		UNROLL for (int j = 0; j < 8; j++)
			if (j < count)
				y[j] = narrow(x[j]);
		return;
	}
	float *y = (float *)to + i;
	if (how & Whole && count >= 8) {
		UNROLL for (int j = 0; j < 8; j += 4) {
			wide4 v = {{x[j], x[j + 1], x[j + 2], x[j + 3]}};
			if (how & Adding) {
				const wide4 was = *(wide4 *)(y + j);
				UNROLL for (int l = 0; l < 4; l++) v.v[l] += was.v[l];
			}
			*(wide4 *)(y + j) = v;
		}
		return;
	}
	UNROLL for (int j = 0; j < 8; j++)
		if (j < count)
			y[j] = how & Adding ? y[j] + x[j] : x[j];
}
