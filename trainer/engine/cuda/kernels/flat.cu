// Kernels over flat vectors.
#include "operand.h"

// factor is engine.Scalar's.
DEVICE float factor(double value, const double *at) { return (float)(at ? value * *at : value); }

template <int W> DEVICE void mix_parts(void *z, float a, const void *x, float b, const void *y, long n, int form) {
	for (long i = W * element(); i < n; i += W * stride()) {
		Part<W> p = load<W>(x, form, 1, i);
		const Part<W> q = load<W>(y, form, 2, i);
		UNROLL for (int j = 0; j < W; j++) p.v[j] = fma_(b, q.v[j], a * p.v[j]);
		store<W>(z, form, 0, i, p);
	}
}

// z = a·x + b·y; operands z, x, y. A factor that is NaN changes nothing.
extern "C" KERNEL mix(void *z, double a, const double *a_at, const void *x, double b, const double *b_at, const void *y, long n, int form) {
	const float of_x = factor(a, a_at), of_y = factor(b, b_at);
	if (of_x == of_x && of_y == of_y)
		EITHER_WIDTH(form, mix_parts, z, of_x, x, of_y, y, n, form);
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

// norm is the root of the sum of n parts, in thread 0 of one block of 256.
DEVICE double norm(const double *parts, int n) {
	__shared__ double sums[256];
	double s = 0;
	for (int i = thread(); i < n; i += threads())
		s += parts[i];
	return sqrt_(block_sum(sums, s));
}

// to[0] = 1 / (the norm + least).
extern "C" KERNEL inverse_norm(double *to, const double *parts, int n, double least) {
	const double x = norm(parts, n);
	if (thread() == 0)
		to[0] = 1 / (x + least);
}
EXPORT(inverse_norm)

DEVICE bool is_finite(double x) { return x - x == 0; }

// step[0] = what brings a gradient of that norm down to limit (engine.ClipScale); all of step = NaN if the norm or guard[0], if
// there is one, is not finite.
extern "C" KERNEL clip(double *step, int n_step, const double *guard, const double *parts, int n, double limit) {
	const double x = norm(parts, n);
	if (thread() != 0)
		return;
	step[0] = limit == 0 || x <= limit ? 1. : limit / (x + 1e-6);
	if (!is_finite(x) || (guard && !is_finite(guard[0])))
		for (int i = 0; i < n_step; i++) step[i] = __builtin_nan("");
}
EXPORT(clip)

// One step of AdamW. bounds are the n_bounds ends of the ranges that decay, lo and hi in turn, ascending. step holds the factor on
// the gradient, the learning rate and both bias corrections (engine.AdamW); a factor that is NaN changes nothing. The
// moments are not corrected: the rate becomes lr·√(1−β2^t)/(1−β1^t) and eps becomes eps·√(1−β2^t).
extern "C" KERNEL adamw(float *p, const float *g, float *m, float *v, const u64 *bounds, int n_bounds, long n, const double *step, float beta1,
	float rest1, float beta2, float rest2, double eps, double decay) {
	__shared__ float scalars[4]; // by one thread: many GPUs have few units for doubles
	if (thread() == 0) {
		const double rate = step[1], second = sqrt_(step[3]);
		scalars[0] = (float)step[0];
		scalars[1] = (float)(rate * second / step[2]);
		scalars[2] = (float)(eps * second);
		scalars[3] = (float)(1 - rate * decay);
	}
	barrier();
	const float scale = scalars[0], lr = scalars[1], epsilon = scalars[2], keep = scalars[3];
	if (scale != scale)
		return;
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
		p[i] = p[i] * (lo & 1 ? keep : 1.f) - lr * (first / (sqrt_(second) + epsilon));
	}
}
EXPORT(adamw)
