// A cuBLASLt without a GPU, for tests: its binary interface over the emulated device. Products are queued on the emulated driver's
// streams, so they are done in order, and captured and replayed as kernels are.
//
// It is strict where the real one would fail or, worse, not fail: descriptions have to fit each other, attributes to have their
// sizes, matrices and workspace to be aligned as was promised and to lie within one allocation each. It is as bad as its preferences
// allow: what may be cut along k is cut, and then adds up in another order each time (in place), rounds on the way (parts in the
// output's type), or loses what is left over after whole steps (as https://github.com/facebookexperimental/triton/pull/2767
// reports of some versions). The environment makes it fail:
//   FAKE_CUBLASLT_VERSION=130100   its version
//   FAKE_CUBLASLT_CREATE=status    handles cannot be made
//   FAKE_CUBLASLT_HEURISTIC=status there is no algorithm (15) or the search fails
//   FAKE_CUBLASLT_MATMUL=status    products fail
//   FAKE_CUBLASLT_WRONG=1          products are wrong
#include "../device.h"
#include "libcuda.h"
#include <cstdlib>
#include <cstring>
#include <set>

typedef int Status;
typedef long long s64;
enum { ok = 0, not_initialized = 1, invalid_value = 7, execution_failed = 13, not_supported = 15 };
enum { f32 = 0, bf16 = 14, compute_32f = 68 };
enum { in_place = 1, compute_type = 2, output_type = 4 };

#define API extern "C" __attribute__((visibility("default"))) Status

static long setting(const char *name, long otherwise) {
	const char *v = getenv(name);
	return v && *v ? atol(v) : otherwise;
}

// ---- descriptions ----

struct Operation { int turn_left = 0, turn_right = 0; };
struct Layout {
	int type;
	u64 rows, cols; // column-major
	s64 ld;
	size_t size() const { return type == bf16 ? 2 : 4; }
	size_t bytes() const { return ((cols - 1) * ld + rows) * size(); }
	bool operator==(const Layout &o) const { return type == o.type && rows == o.rows && cols == o.cols && ld == o.ld; }
};
struct Preference { u64 workspace = 0; u32 reductions = 7, align[4] = {256, 256, 256, 256}; };
struct Handle { };
static std::set<void *> known; // descriptions that were made and not destroyed

template <class T> static Status made(T **to, T *it) { known.insert(*to = it); return ok; }
template <class T> static Status drop(T *it) {
	if (!known.erase(it)) return invalid_value;
	delete it;
	return ok;
}
template <class T> static Status set(T &to, const void *from, size_t size) {
	if (!from || size != sizeof to) return invalid_value;
	memcpy(&to, from, size);
	return ok;
}

API cublasLtGetProperty(int property, int *value) {
	const long v = setting("FAKE_CUBLASLT_VERSION", 120600);
	const int parts[] = {int(v / 10000), int(v / 100 % 100), int(v % 100)};
	if (property < 0 || property > 2 || !value) return invalid_value;
	*value = parts[property];
	return ok;
}
API cublasLtCreate(Handle **h) {
	if (long status = setting("FAKE_CUBLASLT_CREATE", 0)) return status;
	return emulate::ready() ? not_initialized : made(h, new Handle);
}
API cublasLtDestroy(Handle *h) { return drop(h); }
API cublasLtMatmulDescCreate(Operation **o, int compute, int scale) {
	return compute == compute_32f && scale == f32 ? made(o, new Operation) : not_supported;
}
API cublasLtMatmulDescDestroy(Operation *o) { return drop(o); }
API cublasLtMatmulDescSetAttribute(Operation *o, int attribute, const void *from, size_t size) {
	if (!known.count(o)) return invalid_value;
	switch (attribute) {
	case 3: return set(o->turn_left, from, size);
	case 4: return set(o->turn_right, from, size);
	}
	return invalid_value;
}
API cublasLtMatrixLayoutCreate(Layout **l, int type, u64 rows, u64 cols, s64 ld) {
	if ((type != f32 && type != bf16) || !rows || !cols || ld < s64(rows)) return invalid_value;
	return made(l, new Layout{type, rows, cols, ld});
}
API cublasLtMatrixLayoutDestroy(Layout *l) { return drop(l); }
API cublasLtMatmulPreferenceCreate(Preference **p) { return made(p, new Preference); }
API cublasLtMatmulPreferenceDestroy(Preference *p) { return drop(p); }
API cublasLtMatmulPreferenceSetAttribute(Preference *p, int attribute, const void *from, size_t size) {
	if (!known.count(p)) return invalid_value;
	switch (attribute) {
	case 1: return set(p->workspace, from, size);
	case 3: return set(p->reductions, from, size);
	case 5: case 6: case 7: case 8: return set(p->align[attribute - 5], from, size);
	}
	return invalid_value;
}

// ---- products ----

struct Algorithm { u64 k, workspace, reduction; u32 align[4], unused[6]; };
struct Choice { Algorithm algorithm; u64 workspace; Status status; float waves; int reserved[4]; };
static_assert(sizeof(Algorithm) == 64 && sizeof(Choice) == 96);

// fits tells whether D [m,n] = op(A)·op(B) + D, and k.
static bool fits(const Operation *o, const Layout *a, const Layout *b, const Layout *c, const Layout *d, u64 &k) {
	if (!known.count((void *)o) || !known.count((void *)a) || !known.count((void *)b) || !known.count((void *)c) || !known.count((void *)d)) return false;
	k = o->turn_left ? a->rows : a->cols;
	return a->type == bf16 && b->type == bf16 && *c == *d && (o->turn_left ? a->cols : a->rows) == d->rows &&
		(o->turn_right ? b->rows : b->cols) == d->cols && (o->turn_right ? b->cols : b->rows) == k;
}
static bool aligned(const void *p, const Layout &l, u32 to) { return (size_t)p % to == 0 && l.ld * l.size() % to == 0; }

API cublasLtMatmulAlgoGetHeuristic(Handle *h, const Operation *o, const Layout *a, const Layout *b, const Layout *c, const Layout *d,
		const Preference *p, int wanted, Choice *to, int *found) {
	u64 k;
	if (!known.count(h) || !known.count((void *)p) || wanted < 1 || !fits(o, a, b, c, d, k)) return invalid_value;
	*found = 0;
	if (long status = setting("FAKE_CUBLASLT_HEURISTIC", 0)) return status;
	const Layout *all[] = {a, b, c, d};
	for (int i = 0; i < 4; i++)
		if (!aligned(nullptr, *all[i], p->align[i])) return not_supported;
	*to = {};
	Algorithm &it = to->algorithm;
	it.k = k;
	memcpy(it.align, p->align, sizeof it.align);
	const u64 cut_from = 64; // terms
	if (k >= cut_from)
		for (u32 way : {in_place, output_type, compute_type}) // worst first
			if (p->reductions & way) {
				it.reduction = way;
				it.workspace = p->workspace;
				break;
			}
	to->workspace = it.workspace;
	*found = 1;
	return ok;
}

static float widened(u16 h) {
	const u32 bits = u32(h) << 16;
	float v;
	memcpy(&v, &bits, 4);
	return v;
}
static u16 narrowed(float v) {
	u32 bits;
	memcpy(&bits, &v, 4);
	return v != v ? bits >> 16 | 64 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
static float rounded(float v, int type) { return type == bf16 ? widened(narrowed(v)) : v; }

struct Product {
	Operation o;
	Layout a, b, d;
	const u16 *left, *right;
	void *to;
	float alpha, beta;
	Algorithm algorithm;

	float terms(u64 i, u64 j, u64 from, u64 to) const {
		const s64 ai = o.turn_left ? a.ld : 1, al = o.turn_left ? 1 : a.ld, bj = o.turn_right ? 1 : b.ld, bl = o.turn_right ? b.ld : 1;
		float sum = 0;
		for (u64 l = from; l < to; l++) sum += widened(left[i * ai + l * al]) * widened(right[j * bj + l * bl]);
		return sum;
	}
	// element is a sum of products, as the algorithm makes it in one of two orders.
	float element(u64 i, u64 j, bool second) const {
		const u64 step = 32, k = algorithm.k, half = k / 2 / step * step, third = k / 3;
		switch (algorithm.reduction) {
		case in_place: {
			const float one = terms(i, j, 0, third), two = terms(i, j, third, 2 * third), three = terms(i, j, 2 * third, k);
			return second ? three + two + one : one + two + three;
		}
		case output_type: return rounded(terms(i, j, 0, half), d.type) + rounded(terms(i, j, half, k), d.type);
		case compute_type: return terms(i, j, 0, half) + terms(i, j, half, k / step * step); // the rest is lost
		}
		return terms(i, j, 0, k);
	}
	void make() const {
		static bool second;
		second = !second;
		const bool wrong = setting("FAKE_CUBLASLT_WRONG", 0);
		for (u64 j = 0; j < d.cols; j++)
			for (u64 i = 0; i < d.rows; i++) {
				u16 *half = (u16 *)to + j * d.ld + i;
				float *whole = (float *)to + j * d.ld + i;
				float v = alpha * element(i, j, second) + wrong;
				if (beta != 0) v += beta * (d.type == bf16 ? widened(*half) : *whole); // else it is not read
				if (d.type == bf16) *half = narrowed(v);
				else *whole = v;
			}
	}
};

template <class T> static T *on_host(T *device) { return (T *)emulate::translate((void *)device); }

API cublasLtMatmul(Handle *h, const Operation *o, const float *alpha, const void *pa, const Layout *a, const void *pb, const Layout *b,
		const float *beta, const void *pc, const Layout *c, void *pd, const Layout *d, const Algorithm *it, void *workspace, size_t room, void *stream) {
	u64 k;
	if (!known.count(h) || !fits(o, a, b, c, d, k) || !it || it->k != k || pc != pd) return invalid_value;
	if (emulate::ready()) return execution_failed;
	if (long status = setting("FAKE_CUBLASLT_MATMUL", 0)) return status;
	const Layout *all[] = {a, b, c, d};
	const void *at[] = {pa, pb, pc, pd};
	for (int i = 0; i < 4; i++)
		if (!aligned(at[i], *all[i], it->align[i]) || !emulate::in_block(at[i], all[i]->bytes())) return invalid_value;
	if (room < it->workspace || (it->workspace && ((size_t)workspace % 256 || !emulate::in_block(workspace, room)))) return invalid_value;
	const Product product{*o, *a, *b, *d, on_host((const u16 *)pa), on_host((const u16 *)pb), on_host(pd), *alpha, *beta, *it};
	return emulate::queue_kernel(stream, [=] { product.make(); }) ? execution_failed : ok;
}
