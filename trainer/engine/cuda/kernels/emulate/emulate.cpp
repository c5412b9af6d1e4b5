// Fibers for the threads of a block. Only the running one matters, so nothing here is locked: the fake driver lets one
// launch run at a time.
#include "../device.h"
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <vector>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulate {

Place at;
u8 *dynamic_memory;

[[noreturn]] static void fail(const char *why) {
	fprintf(stderr, "emulated kernel: %s (block %d,%d,%d thread %d)\n", why, at.block[0], at.block[1], at.block[2], at.thread);
	abort();
}

// A context is where a stack was left. Switching takes a few nanoseconds, as a kernel with matrix products does it millions
// of times; elsewhere the C library's way is taken, which makes a system call.
#if defined(__x86_64__)
typedef void *Context;
extern "C" void emulate_switch(Context *from, Context to);
asm(R"(
	.text
	.globl emulate_switch
	.type emulate_switch, @function
emulate_switch:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
)");
static void start(Context *c, u8 *stack, size_t size, void (*f)()) {
	void **top = (void **)(stack + size) - 1; // so that f sees the stack as after a call
	*--top = (void *)f;
	for (int i = 0; i < 6; i++)
		*--top = nullptr;
	*c = top;
}
static void change(Context *from, Context *to) { emulate_switch(from, *to); }
#else
typedef ucontext_t Context;
static void start(Context *c, u8 *stack, size_t size, void (*f)()) {
	getcontext(c);
	c->uc_stack.ss_sp = stack;
	c->uc_stack.ss_size = size;
	c->uc_link = nullptr;
	makecontext(c, f, 0);
}
static void change(Context *from, Context *to) { swapcontext(from, to); }
#endif

struct Copy { void *to; const void *from; int size, bytes, group; };

struct Fiber {
	Context context;
	u8 *stack;
	bool done;
	const u64 *waits; // until this is no longer seen; null: for nothing
	u64 seen;
	std::vector<Copy> copies;
	int group;
};

// Warp holds two exchanges: a thread may come to the next while others still read the last.
struct Warp {
	Lane lanes[2][32];
	u64 round;
	int arrived;
};

static const size_t stack_size = 128 << 10;
static std::vector<Fiber> fibers;
static std::vector<Warp> warps;
static Context outside;
static int left, arrived;
static u64 barriers;
static const Launch *running;

// Threads run in turn or, if SKEIN_EMULATE_ORDER is a number, in a random order that begins with it: a warp runs as far as it
// can while the others wait, but now and then another is let in. A kernel that lacks a barrier is right in some orders only.
static u64 order;

static u64 draw() { return order ^= order << 13, order ^= order >> 7, order ^= order << 17; } // Marsaglia's xorshift

static bool runnable(const Fiber &f) { return !f.done && (!f.waits || *f.waits != f.seen); }

// next is the first thread that may run among count threads from `first` on, the one behind `behind` before the others; -1: none.
static int next(int first, int count, int behind) {
	for (int n = 1; n <= count; n++) {
		const int i = first + (behind - first + n) % count;
		if (runnable(fibers[i]))
			return i;
	}
	return -1;
}

static void resume_other() {
	const int me = at.thread, n = at.threads;
	int i = -1;
	if (order && draw() % 4096) {
		const int first = me & ~31;
		i = next(first, n - first < 32 ? n - first : 32, me);
	}
	if (i < 0)
		i = next(0, n, order ? draw() % n : me);
	if (i < 0)
		fail("all threads wait: not all of a warp or block came to the same barrier or exchange");
	fibers[i].waits = nullptr;
	if (i != me) {
		at.thread = i;
		change(&fibers[me].context, &fibers[i].context);
	}
}

static void wait(const u64 *counter) {
	fibers[at.thread].waits = counter;
	fibers[at.thread].seen = *counter;
	resume_other();
}

void block_barrier() {
	if (++arrived < left)
		return wait(&barriers);
	arrived = 0;
	barriers++;
}

Lane *exchange(const u32 *words, int n, void (*whole)(Lane *)) {
	Warp &w = warps[at.thread >> 5];
	Lane *lanes = w.lanes[w.round & 1];
	if (n)
		memcpy(lanes[at.thread & 31].in, words, n * sizeof *words);
	const int first = at.thread & ~31, members = at.threads - first < 32 ? at.threads - first : 32;
	if (++w.arrived < members) {
		wait(&w.round);
		return lanes;
	}
	if (whole)
		whole(lanes);
	w.arrived = 0;
	w.round++;
	return lanes;
}

// multiply16x8 sets d to a·b. It is where the time of emulated products goes, so it is compiled for wide registers too.
typedef float Row __attribute__((vector_size(32)));
#if defined(__x86_64__)
__attribute__((target_clones("avx2", "default")))
#endif
static void multiply16x8(Row *d, const float (*a)[16], const Row *b) {
	for (int i = 0; i < 16; i++) {
		Row s = {};
		for (int k = 0; k < 16; k++)
			s += a[i][k] * b[k];
		d[i] = s;
	}
}

void multiply(Lane *lanes) {
	static float a[16][16];
	static Row b[16], d[16];
	auto put = [](float *x, float *y, u32 pair) {
		const u32 lo = pair << 16, hi = pair & 0xffff0000;
		memcpy(x, &lo, 4);
		memcpy(y, &hi, 4);
	};
	for (int l = 0; l < 32; l++) {
		const int g = l >> 2, t = 2 * (l & 3);
		const u32 *in = lanes[l].in;
		put(&a[g][t], &a[g][t + 1], in[0]);
		put(&a[g + 8][t], &a[g + 8][t + 1], in[1]);
		put(&a[g][t + 8], &a[g][t + 9], in[2]);
		put(&a[g + 8][t + 8], &a[g + 8][t + 9], in[3]);
		put((float *)&b[t] + g, (float *)&b[t + 1] + g, in[4]);
		put((float *)&b[t + 8] + g, (float *)&b[t + 9] + g, in[5]);
	}
	multiply16x8(d, a, b);
	for (int l = 0; l < 32; l++) {
		const int g = l >> 2, t = 2 * (l & 3);
		float c[4];
		memcpy(c, lanes[l].in + 6, 16);
		c[0] += d[g][t], c[1] += d[g][t + 1], c[2] += d[g + 8][t], c[3] += d[g + 8][t + 1];
		memcpy(lanes[l].out, c, 16);
	}
}

void need_aligned(const void *p, int size) {
	if ((uintptr_t)p % size)
		fail("an address of an asynchronous copy or a load of matrices is not aligned");
}

static void perform(const Copy &c) {
	memset(c.to, 0, c.size);
	memcpy(c.to, c.from, c.bytes);
}

// Copies are done as late as they may be, so that a kernel which forgets to wait shows; in random orders half of them are done at
// once, so that one which overwrites what others still read shows, too.
void queue_copy(const u8 *to, const void *from, int size, int bytes) {
	need_aligned(to, size);
	need_aligned(from, size);
	Fiber &f = fibers[at.thread];
	const Copy c = {(void *)to, from, size, bytes, f.group};
	if (order && draw() & 1024)
		perform(c);
	else
		f.copies.push_back(c);
}
void close_group() { fibers[at.thread].group++; }
void wait_groups(int but) {
	Fiber &f = fibers[at.thread];
	size_t kept = 0;
	for (const Copy &c : f.copies) {
		if (c.group >= f.group - but) {
			f.copies[kept++] = c;
			continue;
		}
		perform(c);
	}
	f.copies.resize(kept);
}

static void body() {
	running->kernel(running->args);
	Fiber &me = fibers[at.thread];
	me.done = true;
	if (--left == 0)
		change(&me.context, &outside);
	if (arrived && arrived == left) { // those who left are not waited for, as on a device
		arrived = 0;
		barriers++;
	}
	resume_other();
	abort();
}

static void run_block() {
	left = at.threads;
	arrived = 0;
	for (auto &w : warps)
		w.arrived = 0, w.round = 0;
	for (auto &f : fibers) {
		start(&f.context, f.stack, stack_size, body);
		f.done = false, f.waits = nullptr, f.group = 0;
		f.copies.clear();
	}
	memset(dynamic_memory, 0xff, running->shared); // NaNs, for who reads before writing
	at.thread = order ? draw() % at.threads : 0;
	change(&outside, &fibers[at.thread].context);
}

void run(const Launch &l) {
	static std::vector<u8 *> stacks;
	if (!dynamic_memory)
		dynamic_memory = (u8 *)aligned_alloc(128, max_dynamic_memory + 128);
	while (stacks.size() < l.threads) {
		void *s = mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (s == MAP_FAILED)
			fail("no memory for the stacks of threads");
		stacks.push_back((u8 *)s);
	}
	fibers.resize(l.threads);
	for (unsigned i = 0; i < l.threads; i++)
		fibers[i].stack = stacks[i];
	warps.resize((l.threads + 31) / 32);
	const char *seed = getenv("SKEIN_EMULATE_ORDER");
	order = seed ? strtoull(seed, nullptr, 10) : 0;
	running = &l;
	at.threads = l.threads;
	for (int i = 0; i < 3; i++)
		at.blocks[i] = l.grid[i];
	for (unsigned z = 0; z < l.grid[2]; z++)
		for (unsigned y = 0; y < l.grid[1]; y++)
			for (unsigned x = 0; x < l.grid[0]; x++) {
				at.block[0] = x, at.block[1] = y, at.block[2] = z;
				run_block();
			}
}

} // namespace emulate
