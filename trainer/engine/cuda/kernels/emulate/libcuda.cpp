// A libcuda without a GPU, for tests: the real binary interface in front of the emulated kernels.
//
// It is strict where the driver is: memory of the device cannot be touched by the host (it is mapped twice, without rights
// at the device's addresses), calls need a context on their thread, and queued work is done no sooner than somebody waits
// for it. The environment makes it fail:
//   FAKE_CUDA_INIT=code         cuInit returns the code (100: no device, 803: mismatch, …)
//   FAKE_CUDA_VERSION=11040     CUDA version of the driver
//   FAKE_CUDA_DEVICES=2         number of GPUs
//   FAKE_CUDA_CAPABILITY=75     compute capability
//   FAKE_CUDA_MEMORY=bytes      memory of a GPU
//   FAKE_CUDA_JIT=text          modules do not compile, with that log
//   FAKE_CUDA_LOST=n            a GPU is lost when n more kernels have run, counted from when the value was first seen; n@i: GPU i is,
//                               after n kernels of its own
#include "../device.h"
#include "emulate.h"
#include "libcuda.h"
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

typedef int Result;
typedef unsigned long long Address;
enum { ok = 0, invalid_value = 1, out_of_memory = 2, not_initialized = 3, invalid_device = 101, invalid_image = 200, invalid_context = 201,
	invalid_ptx = 218, invalid_handle = 400, not_found = 500, not_ready = 600, illegal_address = 700, launch_failed = 719, capture_unsupported = 900, capture_invalidated = 901 };

static std::recursive_mutex one_at_a_time;
#define API extern "C" __attribute__((visibility("default"))) Result
#define LOCK std::lock_guard<std::recursive_mutex> guard(one_at_a_time)

static long setting(const char *name, long otherwise) {
	const char *v = getenv(name);
	return v && *v ? atol(v) : otherwise;
}

// ---- devices and contexts ----

static bool initialised;
static const int max_devices = 16;
struct Context { int device, users; Result lost; }; // lost: what every call returns after the device is gone, as on a device
static Context contexts[max_devices];
static thread_local Context *current;

API cuInit(unsigned) {
	if (long code = setting("FAKE_CUDA_INIT", 0))
		return code;
	initialised = true;
	return ok;
}
API cuDriverGetVersion(int *v) { *v = setting("FAKE_CUDA_VERSION", 12080); return ok; }
API cuDeviceGetCount(int *n) { *n = setting("FAKE_CUDA_DEVICES", 1); return initialised ? ok : not_initialized; }
API cuDeviceGet(int *d, int i) {
	if (!initialised) return not_initialized;
	if (i < 0 || i >= setting("FAKE_CUDA_DEVICES", 1) || i >= max_devices) return invalid_device;
	*d = i;
	return ok;
}
API cuDeviceGetName(char *name, int n, int d) { snprintf(name, n, "Emulated GPU %d", d); return ok; }
API cuDeviceGetAttribute(int *v, int attribute, int) {
	const int capability = setting("FAKE_CUDA_CAPABILITY", 80);
	switch (attribute) {
	case 16: *v = 2; return ok; // processors
	case 75: *v = capability / 10; return ok;
	case 76: *v = capability % 10; return ok;
	case 97: *v = 166912; return ok; // shared memory of a block, an A100's
	}
	return invalid_value;
}
static size_t memory_size() { return setting("FAKE_CUDA_MEMORY", 1l << 30); }
API cuDeviceTotalMem_v2(size_t *n, int) { *n = memory_size(); return ok; }
API cuDevicePrimaryCtxRetain(Context **c, int d) {
	LOCK;
	if (d < 0 || d >= max_devices) return invalid_device;
	contexts[d].device = d;
	contexts[d].users++;
	*c = &contexts[d];
	return ok;
}
static void forget();
API cuDevicePrimaryCtxRelease_v2(int d) {
	LOCK;
	if (d < 0 || d >= max_devices || !contexts[d].users) return invalid_context;
	contexts[d].users--;
	for (auto &c : contexts)
		if (c.users) return ok;
	forget();
	return ok;
}
API cuCtxSetCurrent(Context *c) { current = c; return ok; }

static Result ready() {
	if (!initialised) return not_initialized;
	if (!current || !current->users) return invalid_context;
	return current->lost;
}
#define READY \
	LOCK; \
	if (Result r_ = ready()) return r_

// ---- memory ----

static const size_t region = 8ul << 30; // of addresses; pages are taken as they are used
static char *device_side, *host_side;
static std::map<Address, size_t> blocks; // in use, by address
static size_t used;
static std::map<Address, size_t> pinned;

static bool mapped() {
	if (device_side) return true;
	int fd = memfd_create("device", 0);
	if (fd < 0 || ftruncate(fd, region)) return false;
	void *d = mmap(nullptr, region, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	void *h = mmap(nullptr, region, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (d == MAP_FAILED || h == MAP_FAILED) return false;
	device_side = (char *)d, host_side = (char *)h;
	return true;
}
void *emulate::translate(void *p) {
	char *c = (char *)p;
	return c >= device_side && c < device_side + region ? host_side + (c - device_side) : p;
}
// block_at tells whether [p, p+n) lies within one allocation.
static bool block_at(Address p, size_t n) {
	auto it = blocks.upper_bound(p);
	return it != blocks.begin() && (--it, p + n <= it->first + it->second);
}
bool emulate::in_block(const void *p, size_t bytes) { return block_at((Address)p, bytes); }
int emulate::ready() { return ::ready(); }
static bool is_pinned(const void *p, size_t n) {
	auto it = pinned.upper_bound((Address)p);
	return it != pinned.begin() && (--it, (Address)p + n <= it->first + it->second);
}

API cuMemGetInfo_v2(size_t *free, size_t *total) {
	READY;
	*total = memory_size();
	*free = *total - (used < *total ? used : *total);
	return ok;
}
API cuMemAlloc_v2(Address *out, size_t n) {
	READY;
	if (!n) return invalid_value;
	if (!mapped()) return out_of_memory;
	n = (n + 511) & ~511ul;
	if (used + n > memory_size()) return out_of_memory;
	Address at = (Address)device_side + 512; // the first gap that is large enough, one unused line between blocks
	for (auto &b : blocks) {
		if (at + n + 512 <= b.first) break;
		at = b.first + b.second + 512;
	}
	if (at + n > (Address)device_side + region) return out_of_memory;
	blocks[at] = n;
	used += n;
	memset(emulate::translate((void *)at), 0xcd, n);
	*out = at;
	return ok;
}
API cuMemFree_v2(Address p) {
	READY;
	auto it = blocks.find(p);
	if (it == blocks.end()) return invalid_value;
	used -= it->second;
	blocks.erase(it);
	return ok;
}
API cuMemHostAlloc(void **out, size_t n, unsigned) {
	READY;
	*out = aligned_alloc(4096, (n + 4095) & ~4095ul);
	if (!*out) return out_of_memory;
	memset(*out, 0xcd, n);
	pinned[(Address)*out] = n;
	return ok;
}
API cuMemFreeHost(void *p) {
	READY;
	if (!pinned.erase((Address)p)) return invalid_value;
	free(p);
	return ok;
}

// forget drops what goes with the last context.
static void forget() {
	for (auto &c : contexts) c.lost = ok;
	blocks.clear();
	used = 0;
}

// ---- streams: work is queued, and done when somebody waits ----

typedef std::function<Result()> Work;
struct Graph { std::vector<Work> work; };
struct Stream { Context *context; std::vector<Work> queue; std::unique_ptr<Graph> captured; bool spoilt = false; };
static std::set<Stream *> streams;
static std::set<Graph *> graphs;

// finish works off the queue; with an event, until that is reached.
struct Event { Stream *in = nullptr; int records = 0; bool reached = true; double at = 0; }; // seconds
static Result finish(Stream *s, Event *until = nullptr) {
	size_t done = 0;
	while (done < s->queue.size() && !(until && until->reached)) {
		Work w = s->queue[done++];
		if (Result r = w()) s->context->lost = r;
		if (s->context->lost) done = s->queue.size();
	}
	s->queue.erase(s->queue.begin(), s->queue.begin() + done);
	return s->context->lost;
}
static Result queue(Stream *s, Work w) {
	if (!streams.count(s)) return invalid_handle;
	(s->captured ? s->captured->work : s->queue).push_back(std::move(w));
	return ok;
}

API cuStreamCreate(Stream **s, unsigned) { READY; streams.insert(*s = new Stream{current}); return ok; }
API cuStreamDestroy_v2(Stream *s) {
	READY;
	if (!streams.count(s)) return invalid_handle;
	Result r = finish(s);
	streams.erase(s);
	delete s;
	return r;
}
API cuStreamSynchronize(Stream *s) {
	READY;
	if (!streams.count(s)) return invalid_handle;
	if (s->captured) { s->spoilt = true; return capture_unsupported; }
	return finish(s);
}

static std::set<Event *> events;
API cuEventCreate(Event **e, unsigned) { READY; events.insert(*e = new Event); return ok; }
API cuEventDestroy_v2(Event *e) {
	READY;
	if (!events.erase(e)) return invalid_handle;
	if (e->in && streams.count(e->in)) finish(e->in); // which may still come to it
	delete e;
	return current->lost;
}
API cuEventRecord(Event *e, Stream *s) {
	READY;
	if (!events.count(e) || !streams.count(s)) return invalid_handle;
	if (s->captured) return capture_unsupported; // it would be an event of the graph
	e->in = s, e->reached = false;
	return queue(s, [=, turn = ++e->records] {
		if (turn != e->records) return ok; // it was moved on meanwhile
		e->reached = true;
		e->at = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
		return ok;
	});
}
API cuEventSynchronize(Event *e) {
	READY;
	if (!events.count(e)) return invalid_handle;
	return e->reached ? ok : finish(e->in, e);
}
API cuEventElapsedTime(float *ms, Event *from, Event *to) {
	READY;
	if (!events.count(from) || !events.count(to) || !from->in || !to->in) return invalid_handle;
	if (!from->reached || !to->reached) return not_ready;
	*ms = (to->at - from->at) * 1e3;
	return ok;
}

API cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t n, Stream *s) {
	READY;
	if (!block_at(to, n)) return invalid_value;
	void *dst = emulate::translate((void *)to);
	if (is_pinned(from, n))
		return queue(s, [=] { memcpy(dst, from, n); return ok; });
	if (streams.count(s) && s->captured) return capture_unsupported; // ordinary memory may be gone at the replay
	auto aside = std::make_shared<std::string>((const char *)from, n);
	return queue(s, [=] { memcpy(dst, aside->data(), n); return ok; });
}
API cuMemcpyDtoHAsync_v2(void *to, Address from, size_t n, Stream *s) {
	READY;
	if (!block_at(from, n)) return invalid_value;
	const void *src = emulate::translate((void *)from);
	if (is_pinned(to, n))
		return queue(s, [=] { memcpy(to, src, n); return ok; });
	if (!streams.count(s)) return invalid_handle;
	if (s->captured) return capture_unsupported;
	if (Result r = finish(s)) return r;
	memcpy(to, src, n);
	return ok;
}
API cuMemcpyDtoDAsync_v2(Address to, Address from, size_t n, Stream *s) {
	READY;
	if (!block_at(from, n) || !block_at(to, n)) return invalid_value;
	return queue(s, [=] { memcpy(emulate::translate((void *)to), emulate::translate((void *)from), n); return ok; });
}
API cuMemsetD8Async(Address to, unsigned char v, size_t n, Stream *s) {
	READY;
	if (!block_at(to, n)) return invalid_value;
	return queue(s, [=] { memset(emulate::translate((void *)to), v, n); return ok; });
}

// ---- modules: PTX is not run, but a kernel has to be in it ----

struct Module { std::string ptx; };
struct Function { void (*kernel)(void **); std::string name; int params; int shared = 48 << 10; };
static std::set<Module *> modules;
static std::map<std::string, std::unique_ptr<Function>> functions;

// entry is where the kernel's parameters begin in PTX.
static size_t entry(const std::string &ptx, const std::string &name) { return ptx.find(".entry " + name + "("); }

API cuModuleLoadDataEx(Module **m, const char *image, unsigned n, int *options, void **values) {
	READY;
	const char *text = getenv("FAKE_CUDA_JIT");
	if (text && *text) {
		for (unsigned i = 0; i < n; i++)
			if (options[i] == 5 && n > i + 1 && options[i + 1] == 6)
				snprintf((char *)values[i], (size_t)values[i + 1], "%s", text);
		return invalid_ptx;
	}
	if (!strstr(image, ".version")) return invalid_image;
	modules.insert(*m = new Module{image});
	return ok;
}
API cuModuleUnload(Module *m) {
	READY;
	if (!modules.erase(m)) return invalid_handle;
	delete m;
	return ok;
}
API cuModuleGetFunction(Function **f, Module *m, const char *name) {
	READY;
	if (!modules.count(m)) return invalid_handle;
	const size_t at = entry(m->ptx, name);
	if (at == std::string::npos) return not_found;
	auto &known = functions[name];
	if (!known) {
		void *p = dlsym(RTLD_DEFAULT, ("emulated_" + std::string(name)).c_str());
		Dl_info me;
		if (!p && dladdr((void *)cuInit, &me)) // this library is loaded privately
			if (void *self = dlopen(me.dli_fname, RTLD_NOW | RTLD_NOLOAD)) p = dlsym(self, ("emulated_" + std::string(name)).c_str());
		if (!p) return not_found;
		known.reset(new Function{(void (*)(void **))p, name, 0});
		const size_t end = m->ptx.find(')', at);
		for (size_t i = at; (i = m->ptx.find(".param", i)) < end; i++) known->params++;
	}
	*f = known.get();
	return ok;
}
API cuFuncSetAttribute(Function *f, int attribute, int v) {
	READY;
	if (attribute != 8 || v < 0 || v > 166912) return invalid_value;
	f->shared = v;
	return ok;
}

// execute runs a kernel on a device, unless the device is to be lost by now.
static Result execute(const std::function<void()> &kernel, int device) {
	static std::string seen;
	static long until;
	static int which; // -1: any
	const char *v = getenv("FAKE_CUDA_LOST");
	if (!v) v = "";
	if (seen != v) {
		const char *at = strchr(v, '@');
		seen = v, until = atol(v), which = at ? atoi(at + 1) : -1;
	}
	if (!seen.empty() && (which < 0 || which == device) && until-- <= 0) return launch_failed;
	kernel();
	return ok;
}
int emulate::queue_kernel(void *stream, std::function<void()> kernel) {
	READY;
	return queue((Stream *)stream, [=, device = current->device] { return execute(kernel, device); });
}

API cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, Stream *s, void **params, void **) {
	READY;
	if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || !bx || by != 1 || bz != 1 || bx > 1024 || (int)shared > f->shared) return invalid_value;
	auto values = std::make_shared<std::vector<u64>>(f->params);
	for (int i = 0; i < f->params; i++)
		(*values)[i] = *(const u64 *)params[i];
	return emulate::queue_kernel(s, [=] {
		std::vector<void *> args;
		for (u64 &v : *values) args.push_back(&v);
		emulate::run({f->kernel, args.data(), {gx, gy, gz}, bx, shared});
	});
}

// ---- graphs ----

API cuStreamBeginCapture_v2(Stream *s, int) {
	READY;
	if (!streams.count(s)) return invalid_handle;
	if (s->captured) return capture_unsupported;
	s->captured.reset(new Graph);
	s->spoilt = false;
	return ok;
}
API cuStreamEndCapture(Stream *s, Graph **g) {
	READY;
	if (!streams.count(s) || !s->captured) return invalid_handle;
	if (s->spoilt) {
		s->captured.reset();
		*g = nullptr;
		return capture_invalidated;
	}
	graphs.insert(*g = s->captured.release());
	return ok;
}
API cuGraphInstantiateWithFlags(Graph **exec, Graph *g, unsigned long long) {
	READY;
	if (!graphs.count(g)) return invalid_handle;
	graphs.insert(*exec = new Graph(*g));
	return ok;
}
API cuGraphLaunch(Graph *g, Stream *s) {
	READY;
	if (!graphs.count(g)) return invalid_handle;
	for (auto &w : g->work)
		if (Result r = queue(s, w)) return r;
	return ok;
}
static Result drop(Graph *g) {
	READY;
	if (!graphs.erase(g)) return invalid_handle;
	delete g;
	return ok;
}
API cuGraphDestroy(Graph *g) { return drop(g); }
API cuGraphExecDestroy(Graph *g) { return drop(g); }
