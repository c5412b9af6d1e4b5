// What kernels are written in. One source, three compilers: clang (to PTX, `make ptx`); g++, for which emulate/emulate.h plays
// the device so that the tests run without one; and NVRTC, which nothing calls yet.
//
// Rules that keep the three alike:
//  - a kernel is `extern "C" KERNEL name(...)` followed by EXPORT(name); blocks have one dimension of threads;
//  - device addresses are arguments of their own, never inside a struct or in memory (the emulator translates arguments);
//  - whole warps call what ends in _sync below, whole blocks call barrier();
//  - no atomics on floats: results are the same bits in every run.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct alignas(8) half4 { u16 v[4]; };    // four bfloat16
struct alignas(16) half8 { u16 v[8]; };   // eight
struct alignas(8) wide2 { float v[2]; };    // two F32
struct alignas(16) wide4 { float v[4]; };  // four F32

#if defined(SKEIN_EMULATE)
#include "emulate/emulate.h"
#else

#define EXPORT(kernel)
#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__
#define UNROLL _Pragma("unroll")

#if defined(__CUDACC_RTC__) // NVRTC has its own names
#define KERNEL __global__ void
DEVICE int thread() { return threadIdx.x; }
DEVICE int threads() { return blockDim.x; }
DEVICE int block_x() { return blockIdx.x; }
DEVICE int block_y() { return blockIdx.y; }
DEVICE int block_z() { return blockIdx.z; }
DEVICE int blocks_x() { return gridDim.x; }
DEVICE void barrier() { __syncthreads(); }
DEVICE void warp_sync() { __syncwarp(); }
DEVICE float shuffle_xor_sync(float v, int mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }
DEVICE float shuffle_sync(float v, int lane) { return __shfl_sync(0xffffffffu, v, lane); }
DEVICE u32 ballot_sync(bool v) { return __ballot_sync(0xffffffffu, v); }
DEVICE int lowest_bit(u32 x) { return __ffs(x) - 1; }
#else // clang, without a toolkit's headers
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
#define KERNEL __global__ void
DEVICE int thread() { return __nvvm_read_ptx_sreg_tid_x(); }
DEVICE int threads() { return __nvvm_read_ptx_sreg_ntid_x(); }
DEVICE int block_x() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE int block_y() { return __nvvm_read_ptx_sreg_ctaid_y(); }
DEVICE int block_z() { return __nvvm_read_ptx_sreg_ctaid_z(); }
DEVICE int blocks_x() { return __nvvm_read_ptx_sreg_nctaid_x(); }
DEVICE void barrier() { __syncthreads(); }
DEVICE void warp_sync() { __nvvm_bar_warp_sync(0xffffffffu); }
DEVICE float shuffle_xor_sync(float v, int mask) { return __nvvm_shfl_sync_bfly_f32(0xffffffffu, v, mask, 31); }
DEVICE float shuffle_sync(float v, int lane) { return __nvvm_shfl_sync_idx_f32(0xffffffffu, v, lane, 31); }
DEVICE u32 ballot_sync(bool v) { return __nvvm_vote_ballot_sync(0xffffffffu, v); }
DEVICE int lowest_bit(u32 x) { return __builtin_ctz(x); }
#endif

// Elementary functions. Those of base 2 are the hardware's own, off by some 2⁻²² of their result; log2_ by as much outright where
// its argument is near 1. exp2_ is one instruction, as what is too small for a normal number becomes 0. The others, and /, are
// rounded to nearest.
DEVICE float exp2_(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
DEVICE float log2_(float x) { float y; asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
DEVICE float sqrt_(float x) { float y; asm("sqrt.rn.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
DEVICE double sqrt_(double x) { double y; asm("sqrt.rn.f64 %0, %1;" : "=d"(y) : "d"(x)); return y; }
DEVICE float fma_(float x, float y, float z) { float r; asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(r) : "f"(x), "f"(y), "f"(z)); return r; }
DEVICE float max_(float x, float y) { float z; asm("max.f32 %0, %1, %2;" : "=f"(z) : "f"(x), "f"(y)); return z; }

// narrow2 is two bfloat16, lo in the lower half.
DEVICE u32 narrow2(float lo, float hi) { u32 r; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo)); return r; }

// Dynamic shared memory, aligned to 128 bytes: as much as the launch asks for.
extern __shared__ __attribute__((aligned(128))) u8 dynamic_shared_memory[];
DEVICE u8 *dynamic_shared() { return dynamic_shared_memory; }

// Shared is an address in shared memory, in bytes: 32 bits of arithmetic where a pointer takes 64.
typedef u32 Shared;
#if defined(__CUDACC_RTC__)
DEVICE Shared shared_address(const void *p) { return (u32)__cvta_generic_to_shared(p); }
#else
DEVICE Shared shared_address(const void *p) { return (u32)(u64)(const __attribute__((address_space(3))) void *)p; }
#endif
// turned is p with those bits flipped, which lie within what p is aligned to but for a place in it.
DEVICE Shared turned(Shared p, int bits) { return p ^ bits; }

// mma_sync: d[16,8] += a[16,16]·b[16,8] over a warp, bfloat16 to F32, in the fragments of PTX's mma.m16n8k16: with
// g = lane/4, t = lane%4, a = {(g,2t) (g+8,2t) (g,2t+8) (g+8,2t+8)}, b = {(2t,g) (2t+8,g)}, d = {(g,2t) (g,2t+1) (g+8,2t) (g+8,2t+1)};
// a register of a runs on in k by one, so does one of b.
DEVICE void mma_sync(float *d, const u32 *a, const u32 *b) {
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
		: "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// load_matrices_sync (ldmatrix.x4): four matrices [8,8] of bfloat16 from shared memory. Lane i gives the address of row i%8
// of matrix i/8, 16 bytes, aligned to 16; register j of lane l gets elements (l/4, 2·(l%4)) and the next of matrix j.
// With transposed: elements (2·(l%4), l/4) and the one below.
DEVICE void load_matrices_sync(u32 *r, Shared row) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
		: "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(row) : "memory");
}
DEVICE void load_matrices_transposed_sync(u32 *r, Shared row) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
		: "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(row) : "memory");
}

// copy_async (cp.async; sections of the PTX ISA are named here, as their numbers move) queues a copy of 16 bytes from global to shared memory, both aligned to 16: the first
// `bytes` of them, zeros behind; copy_async4 one of 4. copy_commit closes a group; copy_wait<n> waits for all groups of this
// thread but the last n. Other threads see the copies after a barrier behind that.
DEVICE void copy_async(Shared to, const void *global, int bytes) {
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(global), "r"(bytes) : "memory");
}
DEVICE void copy_async4(Shared to, const void *global, int bytes) {
	asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(to), "l"(global), "r"(bytes) : "memory");
}
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int n> DEVICE void copy_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(n) : "memory"); }

#endif // the device's compilers; from here on the same for all

DEVICE float bits_to_float(u32 u) { union { u32 u; float f; } c; c.u = u; return c.f; }
DEVICE u32 float_to_bits(float f) { union { u32 u; float f; } c; c.f = f; return c.u; }

// widen and narrow convert between F32 and bfloat16, which rounds to nearest, ties to even; a NaN stays one.
DEVICE float widen(u16 x) { return bits_to_float((u32)x << 16); }
DEVICE u16 narrow(float x) { return (u16)narrow2(x, 0.f); }

DEVICE int lane() { return thread() & 31; }
DEVICE int warp() { return thread() >> 5; }

// warp_sum and warp_max leave the same bits in every lane.
DEVICE float warp_sum_sync(float v) {
	UNROLL for (int m = 16; m; m >>= 1) v += shuffle_xor_sync(v, m);
	return v;
}
DEVICE float warp_max_sync(float v) {
	UNROLL for (int m = 16; m; m >>= 1) v = max_(v, shuffle_xor_sync(v, m));
	return v;
}
