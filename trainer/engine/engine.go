// Package engine is where the trainer's arithmetic happens: kernels over engine memory, behind one interface.
//
// Rings: the reference (float64 loops, the definition), the CPU engine (libraries found at run time plus vectorised
// kernels) and later CUDA implement it; enginetest compares each with the reference under one tolerance formula.
// An engine is a value chosen by Open; there is no build tag and no silent fall-back.
package engine

// Buf is a block of engine memory holding float32 (or int32, where a kernel says so). Addr is opaque to everybody but
// the engine: on a device it is no host address. A Buf is never freed by itself; the engine's memory lives as long
// as the engine. Sub-ranges are plain arithmetic on Addr (4 bytes an element), see Slice.
type Buf struct {
	Addr uintptr
	Len  int // elements of 4 bytes
}

// Slice is the part [lo, hi) of b, in elements.
func (b Buf) Slice(lo, hi int) Buf {
	if lo < 0 || hi < lo || hi > b.Len {
		panic("engine: slice out of range")
	}
	return Buf{b.Addr + 4*uintptr(lo), hi - lo}
}

// Attention holds the sizes of one causal attention over packed projections.
// Rows are tokens, N = Batch·Time; a row of qkv is [q heads | k heads | v heads], (Heads + 2·KVHeads)·HeadDim wide.
type Attention struct {
	Batch, Time, Heads, KVHeads, HeadDim int
	RopeBase                             float64 // θ of rotary embeddings, 10000; half-split rotation (Llama, Hugging Face)
}

// AdamW holds the scalars of one decoupled-weight-decay Adam step (Loshchilov & Hutter 2019), torch.optim.AdamW's formula.
type AdamW struct {
	LR, Beta1, Beta2, Eps, WeightDecay float32
	Scale                              float32 // the gradient is multiplied by this first (clipping, accumulation)
	Count                              int     // steps done, this one included: bias corrections are 1−β^Count
}

// Engine runs kernels. Calls are executed in order; unless stated, outputs are overwritten and must not overlap inputs.
// All matrices are row-major. An Engine is used by one goroutine at a time, several Engines by several.
// Results depend on the inputs, the engine and the machine's class only: never on the number of threads.
type Engine interface {
	// Name says what was chosen, for people: "cpu: oneDNN 2.6 fp32, AVX-512 kernels, 1 thread".
	Name() string
	// Class is the numeric class written into contribution headers: same class, same bits expected.
	Class() uint16
	Close() error

	// Alloc returns zeroed memory for n elements, aligned to 64 bytes. It is for building time, not for steps.
	Alloc(n int) Buf
	// Upload and UploadInt32 copy from the host, Download to the host. Lengths must be equal.
	Upload(dst Buf, src []float32)
	UploadInt32(dst Buf, src []int32)
	Download(dst []float32, src Buf)
	// Host returns the memory as a slice where the host can address it, else nil: a way to spare copies, never to need them.
	Host(b Buf) []float32

	Zero(b Buf)
	Copy(dst, src Buf)
	// Add: z = x + y; z may be x or y.
	Add(z, x, y Buf)

	// MatMul: C[m,n] = op(A)·op(B) + (accumulate ? C : 0). op(A) is [m,k]: A is stored [m,k], or [k,m] if transA;
	// op(B) is [k,n]: B is stored [k,n], or [n,k] if transB. Rows are contiguous (no padding).
	MatMul(c, a, b Buf, transA, transB bool, m, n, k int, accumulate bool)

	// Embed: y[N,D] = table[ids], table [V,D], ids int32[N].
	Embed(y, table, ids Buf, n, d int)
	// EmbedGrad: dtable[ids[i]] += dy[i], dtable [V,D]; rows in order of i.
	EmbedGrad(dtable, dy, ids Buf, n, d int)

	// RMSNorm: y = x·rstd·w with rstd[i] = 1/sqrt(mean(x_i²)+eps); x, y [N,D], w [D], rstd [N] is written for the gradient.
	RMSNorm(y, rstd, x, w Buf, n, d int, eps float32)
	// RMSNormGrad: dx [N,D] overwritten; dw [D] accumulated.
	RMSNormGrad(dx, dw, dy, x, w, rstd Buf, n, d int)

	// Attend: rotary embedding, causal softmax(q·kᵀ/√HeadDim)·v. y [N, Heads·HeadDim]; lse [Batch·Heads·Time] is written
	// for the gradient (log-sum-exp of each row of scores).
	Attend(y, lse, qkv Buf, a Attention)
	// AttendGrad: dqkv, as wide as qkv, from dy and what Attend read and wrote.
	AttendGrad(dqkv, dy, y, lse, qkv Buf, a Attention)

	// SwiGLU: y[N,F] = silu(gate)·up, a row of gu is [gate F | up F].
	SwiGLU(y, gu Buf, n, f int)
	// SwiGLUGrad: dgu [N,2F].
	SwiGLUGrad(dgu, dy, gu Buf, n, f int)

	// CrossEntropy: loss[0] = mean over rows of lse − logits[i,target[i]] (nats), lse [N] written; logits [N,V], targets int32[N].
	CrossEntropy(loss, lse, logits, targets Buf, n, v int)
	// CrossEntropyGrad: dlogits = scale·(softmax(logits) − onehot(target))/N; dlogits may be logits itself.
	CrossEntropyGrad(dlogits, logits, lse, targets Buf, n, v int, scale float32)

	// SumSquares: the sum of x², accumulated in float64 over fixed blocks.
	SumSquares(x Buf) float64
	// AdamW updates parameters p and moments m, v in place from gradient g. decay holds a 1 where weight decay applies
	// and a 0 elsewhere, as ranges: [lo,hi) pairs of p that decay, ascending and apart.
	AdamW(p, g, m, v Buf, decay [][2]int, s AdamW)
}

// Options choose an engine.
type Options struct {
	Kind      string // auto, cpu, reference (cuda later); auto takes the fastest that works and says which
	Library   string // for cpu: "" (best found), onednn, openblas, accelerate, builtin, gonum
	Precision string // fp32 (bf16 later)
	Threads   int    // goroutines that share one call's work; 0 means 1
}
