// Package engine is where the trainer's arithmetic happens: kernels over engine memory, behind one interface.
//
// Rings: the reference (float64 loops, the definition), the CPU engine (libraries found at run time plus vectorised
// kernels) and later CUDA implement it; enginetest compares each with the reference under one tolerance formula.
// An engine is a value chosen by Open; there is no build tag and no silent fall-back.
package engine

// Type is what the elements of a Buf are.
type Type uint8

// The types. BF16 is the upper half of an F32, rounded to nearest, ties to even; a NaN stays one. F64 is for scalars: Set, Get
// and the calls that say so take it, no others.
const (
	F32 Type = iota
	BF16
	F64
)

// Words is the number of 4-byte words that n elements take.
func (t Type) Words(n int) int {
	return (n*int(t.size()) + 3) / 4
}

func (t Type) size() uintptr { return [...]uintptr{4, 2, 8}[t] }

func (t Type) String() string { return [...]string{"fp32", "bf16", "fp64"}[t] }

// Buf is a block of engine memory. Its elements are of Type, or int32 where a kernel says so (such a Buf has Type F32). Addr
// is opaque to everybody but the engine: on a device it is no host address. A Buf is never freed by itself; the engine's
// memory lives as long as the engine. Sub-ranges are plain arithmetic on Addr, see Slice.
type Buf struct {
	Addr uintptr
	Len  int // elements
	Type Type
}

// Slice is the part [lo, hi) of b, in elements.
func (b Buf) Slice(lo, hi int) Buf {
	if lo < 0 || hi < lo || hi > b.Len {
		panic("engine: slice out of range")
	}
	return Buf{b.Addr + b.Type.size()*uintptr(lo), hi - lo, b.Type}
}

// At is n elements of type t in the words of b, an F32, from word on.
func (b Buf) At(word, n int, t Type) Buf {
	s := b.Slice(word, word+t.Words(n))
	return Buf{s.Addr, n, t}
}

// Weight is a matrix [Out, In] as products read it.
type Weight struct {
	Master  Buf // F32, row-major
	Out, In int
	Form    any // the engine's own copy, converted and packed, made by Refresh; nil: products read Master
}

// Attention holds the sizes of one causal attention over packed projections.
// Rows are tokens, N = Batch·Time; a row of qkv is [q heads | k heads | v heads], (Heads + 2·KVHeads)·HeadDim wide.
type Attention struct {
	Batch, Time, Heads, KVHeads, HeadDim int
	RopeBase                             float64 // θ of rotary embeddings, 10000; half-split rotation (Llama, Hugging Face)
}

// Loss holds the scalars of one Head.
type Loss struct {
	Scale      float32 // factor on all gradients: 1 / micro-batches
	Z          float32 // coefficient of the z-loss Z·lse² (Chowdhery et al. 2022, arXiv 2204.02311, section 5), 0: none
	Accumulate bool    // loss and the weight's gradient are added to what is there
}

// Engine runs kernels. Calls are executed in order; unless stated, outputs are overwritten and must not overlap inputs.
// All matrices are row-major. An Engine is used by one goroutine at a time, several Engines by several.
// Results depend on the inputs, the engine and the machine's class only: never on the number of threads.
//
// Types: where Compute is BF16, activations and their gradients (x, y, dx, dy, qkv, gu) may be F32 or BF16, each as its Buf
// says; else they are F32. Kernels compute in F32 and round what they store. Products read their operands as Compute says, rounding where needed, and sum in F32.
// The loss and what Scalars read are F64. Everything else is F32: parameters, their gradients, moments, rstd, lse.
type Engine interface {
	// Name says what was chosen, for people: "cpu: oneDNN 2.6 fp32, AVX-512 kernels, 1 thread".
	Name() string
	// Class is the numeric class written into contribution headers: same class, same bits expected.
	Class() uint16
	// Compute is the type in which products read their operands: what activations on their way into products should have.
	Compute() Type
	Close() error

	// Alloc returns zeroed memory for n elements of F32, aligned to 64 bytes. It is for building time, not for steps.
	Alloc(n int) Buf
	// Upload and UploadInt32 copy from the host, Download to the host, F32 or int32. Lengths must be equal. A source may be changed as
	// soon as the call is back.
	Upload(dst Buf, src []float32)
	UploadInt32(dst Buf, src []int32)
	Download(dst []float32, src Buf)
	// Set and Get are Upload and Download of scalars, F64.
	Set(dst Buf, src []float64)
	Get(dst []float64, src Buf)
	// Host returns F32 memory as a slice where the host can address it, else nil: a way to spare copies, never to need them.
	Host(b Buf) []float32

	Zero(b Buf)
	// Copy copies between Bufs of one length, converting between their types.
	Copy(dst, src Buf)
	// Add: z = x + y; z may be x or y.
	Add(z, x, y Buf)
	// Mix: z = a·x + b·y in F32, a and b rounded to it; z may be x or y.
	Mix(z Buf, a Scalar, x Buf, b Scalar, y Buf)

	// MatMul: C[m,n] = op(A)·op(B) + (accumulate ? C : 0), all F32 whatever Compute says. op(A) is [m,k]: A is stored [m,k],
	// or [k,m] if transA; op(B) is [k,n]: B is stored [k,n], or [n,k] if transB. Rows are contiguous (no padding).
	MatMul(c, a, b Buf, transA, transB bool, m, n, k int, accumulate bool)

	// Refresh brings a weight into the form that products read, after its master has changed. With uses < 2, the number of
	// passes that will read it until the next Refresh, an engine may rather convert it anew in every product.
	Refresh(w *Weight, uses int)
	// Linear: y[n,Out] = x[n,In]·wᵀ.
	Linear(y, x Buf, w *Weight, n int)
	// LinearBack: dx[n,In] = dy[n,Out]·w.
	LinearBack(dx, dy Buf, w *Weight, n int)
	// LinearGrad: dw[out,in] = dyᵀ[out,n]·x[n,in] + (accumulate ? dw : 0), dw in F32.
	LinearGrad(dw, dy, x Buf, n, out, in int, accumulate bool)

	// Embed: y[N,D] = table[ids], table [V,D] in F32, ids int32[N].
	Embed(y, table, ids Buf, n, d int)
	// EmbedGrad: dtable[ids[i]] += dy[i], dtable [V,D]; rows in order of i.
	EmbedGrad(dtable, dy, ids Buf, n, d int)

	// RMSNorm: y = x·rstd·w with rstd[i] = 1/sqrt(mean(x_i²)+eps); x, y [N,D], w [D], rstd [N] is written for the gradient.
	RMSNorm(y, rstd, x, w Buf, n, d int, eps float32)
	// RMSNormGrad: dx [N,D] = the norm's gradient + skip, the gradient that came around the norm, none if skip is empty; dx may
	// be skip. dw [D] is accumulated.
	RMSNormGrad(dx, dw, dy, x, w, rstd, skip Buf, n, d int)

	// HeadNorm is RMSNorm over each query and each key head of packed rows, values are copied: y, qkv as in Attention,
	// w [2, HeadDim] for queries and keys, rstd [N, Heads+KVHeads] is written for the gradient (QK-norm, arXiv 2010.04245, as in
	// Qwen 3). HeadNormGrad: dqkv overwritten, may be dy; dw accumulated.
	HeadNorm(y, rstd, qkv, w Buf, a Attention, eps float32)
	HeadNormGrad(dqkv, dw, dy, qkv, w, rstd Buf, a Attention)

	// Attend: rotary embedding, causal softmax(q·kᵀ/√HeadDim)·v. y [N, Heads·HeadDim]; lse [Batch·Heads·Time] is written
	// for the gradient (log-sum-exp of each row of scores).
	Attend(y, lse, qkv Buf, a Attention)
	// AttendGrad: dqkv, as wide as qkv, from dy and what Attend read and wrote.
	AttendGrad(dqkv, dy, y, lse, qkv Buf, a Attention)

	// SwiGLU: y[N,F] = silu(gate)·up, a row of gu is [gate F | up F].
	SwiGLU(y, gu Buf, n, f int)
	// SwiGLUGrad: dgu [N,2F].
	SwiGLUGrad(dgu, dy, gu Buf, n, f int)

	// Head is the output projection together with the loss: the logits x·wᵀ [N,Out] exist for a few rows at a time only.
	// loss, one F64, = mean over rows of lse − logit[target] (nats, without the z-loss, rounded to F32), x [N,In], targets int32[N]. If dx is not
	// empty, dx [N,In] and dw [Out,In] become the gradients of Scale·(loss + Z·mean(lse²)); dx may be x.
	Head(loss, dx, dw, x Buf, w *Weight, targets Buf, n int, l Loss)

	// Normalise: x ← x/(‖x‖ + floor), the norm from squares added up in float64 over fixed blocks.
	Normalise(x Buf, floor float64)
	// Clip: step[0] = ClipScale(‖x‖, limit). Where the norm or the F64 guard[0] is not finite, all of step becomes NaN, so that
	// whatever reads a scalar of it changes nothing; guard may be empty.
	Clip(step, x, guard Buf, limit float64)
	// AdamW updates parameters p and moments m, v in place from gradient g. decay holds a 1 where weight decay applies
	// and a 0 elsewhere, as ranges: [lo,hi) pairs of p that decay, ascending and apart.
	AdamW(p, g, m, v Buf, decay [][2]int, s AdamW)
}

// Spender is an Engine that takes memory of its own beyond what Alloc gave, and says beforehand how much, in bytes.
type Spender interface {
	// Packed is what Refresh takes for one weight, whose Master may be empty.
	Packed(w *Weight, uses int) int64
	// Room is the most that the calls of training keep for use within one of them.
	Room(t Training) int64
}

// Reserver is a Spender that can take its room beforehand. Without that it takes what a call needs, and if a later one needs more, that beside
// it.
type Reserver interface{ Reserve(t Training) }

// Training is what a Spender is told of passes and steps.
type Training struct {
	Weights      []*Weight // that passes read; the last is that of Head. Masters may be empty
	Uses, Tokens int       // how many passes between two Refreshes; of one pass
	Attention    Attention
	Parameters   int       // elements of the gradient, whose squares are added up
	Products     []Product // that the optimizer asks MatMul for
}

// Head is the weight of Head.
func (t Training) Head() *Weight { return t.Weights[len(t.Weights)-1] }

// Product is the size of a MatMul: [M,K] by [K,N].
type Product struct{ M, N, K int }

// FLOPs is its arithmetic.
func (p Product) FLOPs() int64 { return 2 * int64(p.M) * int64(p.N) * int64(p.K) }

// Options choose an engine.
type Options struct {
	Kind      string // auto, cpu, cuda (GPUs are dealt out to the workers), cuda:N (the GPU of that number), reference
	Library   string // for cpu: "" (best found), onednn, openblas, accelerate, builtin, gonum; for cuda: "" (best found), cublaslt, builtin, or a file of cuBLASLt
	Precision string // of the products: fp32, bf16
	Threads   int    // goroutines that share one call's work; 0 means 1
	Worker    int    // for cuda: the worker of this process that the engine is for, from 0 on
	Driver    string // for cuda: file of libcuda; "" means the environment's SKEIN_CUDA_DRIVER, else the system's
	Remark    string // for cpu: what to add to the name, such as why no GPU is used
}
