// Operands that are F32 or bfloat16, as the launch says.
#pragma once
#include "device.h"

// The argument `form` of a kernel: bit i is set if the i-th operand is bfloat16, and `quads` if all operands lie so that their
// rows can be read and written four elements at a time.
enum { quads = 1 << 30 };

DEVICE float load(const void *x, int form, int operand, long i) {
	return form >> operand & 1 ? widen(((const u16 *)x)[i]) : ((const float *)x)[i];
}
DEVICE void store(void *x, int form, int operand, long i, float v) {
	if (form >> operand & 1)
		((u16 *)x)[i] = narrow(v);
	else
		((float *)x)[i] = v;
}

// Part is W neighbouring elements, 1 or 4.
template <int W> struct Part { float v[W]; };

template <int W> DEVICE Part<W> load(const void *x, int form, int operand, long i) {
	Part<W> p;
	if constexpr (W == 1) {
		p.v[0] = load(x, form, operand, i);
	} else if (form >> operand & 1) {
		const half4 h = *(const half4 *)((const u16 *)x + i);
		UNROLL for (int j = 0; j < 4; j++) p.v[j] = widen(h.v[j]);
	} else {
		const wide4 w = *(const wide4 *)((const float *)x + i);
		UNROLL for (int j = 0; j < 4; j++) p.v[j] = w.v[j];
	}
	return p;
}
template <int W> DEVICE void store(void *x, int form, int operand, long i, const Part<W> &p) {
	if constexpr (W == 1) {
		store(x, form, operand, i, p.v[0]);
	} else if (form >> operand & 1) {
		half4 h;
		UNROLL for (int j = 0; j < 4; j++) h.v[j] = narrow(p.v[j]);
		*(half4 *)((u16 *)x + i) = h;
	} else {
		wide4 w;
		UNROLL for (int j = 0; j < 4; j++) w.v[j] = p.v[j];
		*(wide4 *)((float *)x + i) = w;
	}
}

// element is the first part of a thread in a kernel over a flat vector, stride how far its next one is.
DEVICE long element() { return (long)block_x() * threads() + thread(); }
DEVICE long stride() { return (long)blocks_x() * threads(); }

// EITHER_WIDTH calls body<4> or body<1>.
#define EITHER_WIDTH(form, body, ...) \
	do { \
		if ((form) & quads) \
			body<4>(__VA_ARGS__); \
		else \
			body<1>(__VA_ARGS__); \
	} while (0)
