// The loss over logits that exist for some rows at a time, and its gradient, which takes their place: products before and
// behind are those of gemm.cu.
#include "tile.h"

constexpr float log2e = 1.4426950408889634f, ln2 = 0.6931471805599453f;
constexpr int team = 256, each = 8; // threads, and what each takes of a row at once

// head_loss: a block has a row of v logits, rows ld elements apart, ld a multiple of 8. losses[row] = lse − logit[target]. If
// gradient, the row becomes scale·(p − onehot + 2·z·lse·p) as bfloat16 in the first half of its memory: what products read has
// rows 2·ld apart. The logits are read twice, once for their top and sum, once for the gradient; a row of 50,000 still lies
// in the second-level cache then.
extern "C" KERNEL __launch_bounds__(team) head_loss(float *logits, float *losses, const int *targets, int v, int ld, float scale, float z, int gradient) {
	__shared__ float tops[team / 32], sums[team / 32];
	float *row = logits + (long long)block_x() * ld;
	const int target = targets[block_x()];

	// Each thread keeps the top of what it has seen, and the sum of exp(x − top): then warps do, then the block, in order.
	float top = -__builtin_inff(), sum = 0;
	for (int c = thread() * each; c < v; c += team * each) {
		float x[each], most = top, add = 0;
		load(x, row, c, v - c, false, true);
		UNROLL for (int j = 0; j < each; j++) {
			if (c + j >= v)
				x[j] = -__builtin_inff();
			most = max_(most, x[j]);
		}
		UNROLL for (int j = 0; j < each; j++) add += exp2_((x[j] - most) * log2e);
		sum = sum * exp2_((top - most) * log2e) + add;
		top = most;
	}
	const float high = warp_max_sync(top);
	sum = warp_sum_sync(sum != 0 ? sum * exp2_((top - high) * log2e) : 0.f); // a thread without elements has no top; a NaN stays one
	if (lane() == 0)
		tops[warp()] = high, sums[warp()] = sum;
	barrier();
	top = tops[0];
	for (int w = 1; w < team / 32; w++) top = max_(top, tops[w]);
	sum = 0;
	for (int w = 0; w < team / 32; w++)
		if (sums[w] != 0)
			sum = fma_(sums[w], exp2_((tops[w] - top) * log2e), sum);
	const float lse = top + log2_(sum) * ln2;
	if (thread() == 0)
		losses[block_x()] = lse - row[target]; // before the barrier that comes before this is overwritten
	if (!gradient)
		return;

	const float share = scale * (1 + 2 * z * lse);
	for (int at = 0; at < v; at += team * each) {
		const int c = at + thread() * each;
		float x[each];
		load(x, row, c, v - c, false, true);
		UNROLL for (int j = 0; j < each; j++) {
			x[j] = share * exp2_((x[j] - lse) * log2e);
			if (c + j == target)
				x[j] -= scale;
		}
		barrier(); // what is written lies where this turn or an earlier one has read
		if (c < v)
			narrow8((u16 *)row + c, x); // up to the multiple of 8; nobody reads behind v
	}
}
EXPORT(head_loss)

// head_mean: loss[0] = the mean of n losses, rounded to F32, and what was there if add; summed in an order that depends on n only.
// One block of 256 threads.
extern "C" KERNEL __launch_bounds__(team) head_mean(double *loss, const float *losses, int n, int add) {
	__shared__ double sums[team];
	double s = 0;
	for (int i = thread(); i < n; i += team) s += losses[i];
	sums[thread()] = s;
	for (int m = team / 2; m; m /= 2) {
		barrier();
		if (thread() < m)
			sums[thread()] += sums[thread() + m];
	}
	if (thread() == 0)
		loss[0] = (add ? loss[0] : 0.) + (float)(sums[0] / n);
}
EXPORT(head_mean)
