// Kernels over rows and over flat vectors.
#include "device.h"

// An operand is F32 or bfloat16, as a bit of `types` says: bit i is set if the i-th operand is bfloat16.
DEVICE float load(const void *x, int types, int operand, long i) {
	return types >> operand & 1 ? widen(((const u16 *)x)[i]) : ((const float *)x)[i];
}
DEVICE void store(void *x, int types, int operand, long i, float v) {
	if (types >> operand & 1)
		((u16 *)x)[i] = narrow(v);
	else
		((float *)x)[i] = v;
}

// element is the first element of a thread in a kernel over n elements, stride how far its next one is.
DEVICE long element() { return (long)block_x() * threads() + thread(); }
DEVICE long stride() { return (long)blocks_x() * threads(); }

// z = a·x + b·y; operands z, x, y.
extern "C" KERNEL mix(void *z, float a, const void *x, float b, const void *y, long n, int types) {
	for (long i = element(); i < n; i += stride())
		store(z, types, 0, i, a * load(x, types, 1, i) + b * load(y, types, 2, i));
}
EXPORT(mix)

// Copies and converts; operands dst, src.
extern "C" KERNEL convert(void *dst, const void *src, long n, int types) {
	for (long i = element(); i < n; i += stride())
		store(dst, types, 0, i, load(src, types, 1, i));
}
EXPORT(convert)
