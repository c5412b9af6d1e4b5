// A device played by the processor, for tests: blocks run one after the other, each thread of a block as a fiber with
// barriers, warp-wide exchanges, matrix products and asynchronous copies as PTX defines them. See ../device.h for what the
// functions mean; emulate.cpp runs them.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __shared__ static // blocks run one after the other, so one copy does
#define __launch_bounds__(...)
#define KERNEL void
#define DEVICE static inline __attribute__((unused))
#define DEVICE_MEMBER inline __attribute__((unused))
#define UNROLL

namespace emulate {

struct Place { int thread, threads, block[3], blocks[3]; };
extern Place at; // the fiber that runs

// Lane is what a thread brings to an exchange of its warp, and what it takes away.
struct Lane { u32 in[12], out[4]; };

void block_barrier();
// exchange waits until every thread of the warp has brought its words; the last to come calls whole, if there is one, on all
// 32 lanes. The lanes stay as they are until the thread's exchange after the next.
Lane *exchange(const u32 *words, int n, void (*whole)(Lane *));

void need_aligned(const void *p, int size); // to that many bytes, as the device does
void queue_copy(const u8 *to, const void *from, int size, int bytes);
void close_group();
void wait_groups(int but);

extern u8 *dynamic_memory;
const int max_dynamic_memory = 232448; // bytes, an H100's; what a device has is asked of it

// launch is what the fake driver calls.
struct Launch {
	void (*kernel)(void **args);
	void **args;
	unsigned grid[3], threads, shared;
};
void run(const Launch &l);
void *translate(void *device); // an address of the device to one that the processor may use

template <class T> T argument(void *p) {
	T v;
	memcpy(&v, p, sizeof v);
	if constexpr (std::is_pointer_v<T>)
		v = (T)translate((void *)v);
	return v;
}
template <class... A, size_t... I> void call(void (*f)(A...), void **args, std::index_sequence<I...>) { f(argument<A>(args[I])...); }
template <class... A> void call(void (*f)(A...), void **args) { call(f, args, std::index_sequence_for<A...>{}); }

void multiply(Lane *lanes); // mma.m16n8k16

} // namespace emulate

// The fake driver finds a kernel by its name with this in front.
#define EXPORT(kernel) \
	extern "C" void emulated_##kernel(void **args) { emulate::call(kernel, args); }

DEVICE int thread() { return emulate::at.thread; }
DEVICE int threads() { return emulate::at.threads; }
DEVICE int block_x() { return emulate::at.block[0]; }
DEVICE int block_y() { return emulate::at.block[1]; }
DEVICE int block_z() { return emulate::at.block[2]; }
DEVICE int blocks_x() { return emulate::at.blocks[0]; }
DEVICE void barrier() { emulate::block_barrier(); }
DEVICE void warp_sync() { emulate::exchange(nullptr, 0, nullptr); }

DEVICE float shuffle_sync(float v, int lane) {
	u32 bits;
	memcpy(&bits, &v, 4);
	memcpy(&v, &emulate::exchange(&bits, 1, nullptr)[lane].in[0], 4);
	return v;
}
DEVICE float shuffle_xor_sync(float v, int mask) { return shuffle_sync(v, (thread() & 31) ^ mask); }

DEVICE u32 ballot_sync(bool v) {
	const u32 word = v;
	const emulate::Lane *lanes = emulate::exchange(&word, 1, nullptr);
	u32 all = 0;
	for (int i = 0; i < 32; i++)
		all |= lanes[i].in[0] << i;
	return all;
}

DEVICE int lowest_bit(u32 x) { return __builtin_ctz(x); }

DEVICE float exp2_(float x) { return exp2f(x); }
DEVICE float log2_(float x) { return log2f(x); }
DEVICE float sqrt_(float x) { return sqrtf(x); }
DEVICE double sqrt_(double x) { return sqrt(x); }
DEVICE float fma_(float x, float y, float z) { return fmaf(x, y, z); }
DEVICE float max_(float x, float y) { return fmaxf(x, y); }

DEVICE u32 narrow1(float x) {
	u32 u;
	memcpy(&u, &x, 4);
	return x != x ? 0x7fff : (u + 0x7fff + ((u >> 16) & 1)) >> 16;
}
DEVICE u32 narrow2(float lo, float hi) { return narrow1(lo) | narrow1(hi) << 16; }

DEVICE u8 *dynamic_shared() { return emulate::dynamic_memory; }
typedef const u8 *Shared;
DEVICE Shared shared_address(const void *p) { return (Shared)p; }
DEVICE Shared turned(Shared p, int bits) { return (Shared)((uintptr_t)p ^ bits); }

DEVICE void mma_sync(float *d, const u32 *a, const u32 *b) {
	u32 words[10];
	memcpy(words, a, 16);
	memcpy(words + 4, b, 8);
	memcpy(words + 6, d, 16);
	memcpy(d, emulate::exchange(words, 10, emulate::multiply)[thread() & 31].out, 16);
}

// matrix_rows are the addresses that all lanes bring to a load of matrices.
DEVICE emulate::Lane *matrix_rows(Shared row) {
	emulate::need_aligned(row, 16);
	u32 words[2];
	memcpy(words, &row, 8);
	return emulate::exchange(words, 2, nullptr);
}
DEVICE u16 matrix_element(const emulate::Lane *lanes, int matrix, int row, int column) {
	const u16 *p;
	memcpy(&p, lanes[8 * matrix + row].in, 8);
	return p[column];
}
DEVICE void load_matrices_sync(u32 *r, Shared row) {
	const emulate::Lane *lanes = matrix_rows(row);
	const int g = (thread() & 31) >> 2, t = 2 * (thread() & 3);
	for (int j = 0; j < 4; j++)
		r[j] = matrix_element(lanes, j, g, t) | (u32)matrix_element(lanes, j, g, t + 1) << 16;
}
DEVICE void load_matrices_transposed_sync(u32 *r, Shared row) {
	const emulate::Lane *lanes = matrix_rows(row);
	const int g = (thread() & 31) >> 2, t = 2 * (thread() & 3);
	for (int j = 0; j < 4; j++)
		r[j] = matrix_element(lanes, j, t, g) | (u32)matrix_element(lanes, j, t + 1, g) << 16;
}

DEVICE void copy_async(Shared to, const void *global, int bytes) { emulate::queue_copy(to, global, 16, bytes); }
DEVICE void copy_async4(Shared to, const void *global, int bytes) { emulate::queue_copy(to, global, 4, bytes); }
DEVICE void copy_commit() { emulate::close_group(); }
template <int n> DEVICE void copy_wait() { emulate::wait_groups(n); }
