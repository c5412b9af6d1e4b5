// Kernels over flat vectors.
#include "operand.h"

template <int W> DEVICE void mix_parts(void *z, float a, const void *x, float b, const void *y, long n, int form) {
	for (long i = W * element(); i < n; i += W * stride()) {
		Part<W> p = load<W>(x, form, 1, i);
		const Part<W> q = load<W>(y, form, 2, i);
		UNROLL for (int j = 0; j < W; j++) p.v[j] = fma_(b, q.v[j], a * p.v[j]);
		store<W>(z, form, 0, i, p);
	}
}

// z = a·x + b·y; operands z, x, y.
extern "C" KERNEL mix(void *z, float a, const void *x, float b, const void *y, long n, int form) {
	EITHER_WIDTH(form, mix_parts, z, a, x, b, y, n, form);
}
EXPORT(mix)

template <int W> DEVICE void convert_parts(void *dst, const void *src, long n, int form) {
	for (long i = W * element(); i < n; i += W * stride())
		store<W>(dst, form, 0, i, load<W>(src, form, 1, i));
}

// Copies and converts; operands dst, src.
extern "C" KERNEL convert(void *dst, const void *src, long n, int form) { EITHER_WIDTH(form, convert_parts, dst, src, n, form); }
EXPORT(convert)

// block_sum adds what the threads of a block bring, in a fixed order; thread 0 gets the sum. sums is shared, threads() long, a
// power of two.
DEVICE double block_sum(double *sums, double v) {
	sums[thread()] = v;
	for (int half = threads() / 2; half; half /= 2) {
		barrier();
		if (thread() < half)
			sums[thread()] += sums[thread() + half];
	}
	return sums[0];
}

// The sum of x² over blocks of `block` elements each: parts[b] for block b. Blocks of 256 threads.
extern "C" KERNEL sum_squares(double *parts, const float *x, long n, int block) {
	__shared__ double sums[256];
	const long lo = (long)block_x() * block, hi = lo + block < n ? lo + block : n;
	double s = 0;
	for (long i = lo + thread(); i < hi; i += threads()) {
		const double v = x[i];
		s += v * v;
	}
	s = block_sum(sums, s);
	if (thread() == 0)
		parts[block_x()] = s;
}
EXPORT(sum_squares)

// sum[0] = the sum of n parts, by one block of 256 threads.
extern "C" KERNEL sum_parts(double *sum, const double *parts, int n) {
	__shared__ double sums[256];
	double s = 0;
	for (int i = thread(); i < n; i += threads())
		s += parts[i];
	s = block_sum(sums, s);
	if (thread() == 0)
		sum[0] = s;
}
EXPORT(sum_parts)

// One step of AdamW. bounds are the n_bounds ends of the ranges that decay, lo and hi in turn, ascending; keep is what decay
// leaves of a parameter. lr and eps are those for moments that are not corrected: lr·√(1−β2^t)/(1−β1^t) and eps·√(1−β2^t).
extern "C" KERNEL adamw(float *p, const float *g, float *m, float *v, const u64 *bounds, int n_bounds, long n, float scale, float beta1,
	float rest1, float beta2, float rest2, float lr, float eps, float keep) {
	for (long i = element(); i < n; i += stride()) {
		int lo = 0, hi = n_bounds; // how many bounds are not beyond i
		while (lo < hi) {
			const int mid = (lo + hi) / 2;
			if (bounds[mid] <= (u64)i)
				lo = mid + 1;
			else
				hi = mid;
		}
		const float d = g[i] * scale;
		const float first = fma_(beta1, m[i], rest1 * d), second = fma_(beta2, v[i], rest2 * d * d);
		m[i] = first;
		v[i] = second;
		p[i] = p[i] * (lo & 1 ? keep : 1.f) - lr * (first / (sqrt_(second) + eps));
	}
}
EXPORT(adamw)
