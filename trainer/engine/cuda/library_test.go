package cuda

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/cublaslt"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
	"github.com/skein-train/skein/trainer/engine/enginetest"
)

// withLibrary opens an engine whose products are cuBLASLt's.
func withLibrary(t *testing.T) *Engine {
	t.Helper()
	e, err := Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: cudatest.Driver(t), Library: cudatest.Products(t)})
	if os.Getenv(cudatest.Real) != "" && errors.Is(err, cublaslt.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestProductsByLibrary(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, _ int) engine.Engine {
		e := withLibrary(t)
		t.Cleanup(func() {
			if s := e.Stats(); s.Products == 0 {
				t.Errorf("%+v: our own products were tested", s)
			}
		})
		return e
	}
	enginetest.RunOnly(t, open, enginetest.EpsBF16, "linear/", "linear to fp32/", "linear back/", "refreshed/", "linear gradient/",
		"linear gradient from fp32/", "head/", "head, z-loss, accumulated/")
}

// Every form, into both types, with ends of rows that are not written, gives what our own kernels give.
func TestLibraryAsOurselves(t *testing.T) {
	e := withLibrary(t)
	defer closed(t, e)
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range []struct{ m, n, k, ldc int }{{8, 16, 32, 16}, {130, 70, 40, 72}, {33, 300, 104, 304}, {24, 8, 256, 8}, {16, 24, 333, 24}} {
		for _, f := range []form{nt, nn, tn} {
			for _, half := range []bool{false, true} {
				a, b := integers(r, s.m*s.k), integers(r, s.k*s.n)
				p := product{form: f, m: s.m, n: s.n, k: s.k, ldc: s.ldc, add: !half}
				p.a, p.b = uploaded(e, a, f == tn, s.m, s.k), uploaded(e, b, f == nt, s.k, s.n)
				run := func(multiply func(product)) []float32 {
					c, got := e.Alloc(s.m*s.ldc), make([]float32, s.m*s.ldc)
					e.Upload(c, slices.Repeat([]float32{3}, s.m*s.ldc))
					if p.c = c; half {
						p.c = e.Alloc(engine.BF16.Words(c.Len)).At(0, c.Len, engine.BF16)
						e.Copy(p.c, c)
					}
					multiply(p)
					e.Copy(c, p.c)
					e.Download(got, c)
					return got
				}
				made := e.stats.Products
				got, want := run(e.multiply), run(func(p product) { e.multiplyCut(p, cut{64, 1}) })
				if e.stats.Products != made+1 {
					t.Fatalf("%v form %d: %+v: cuBLASLt did not make it", s, f, e.stats)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%v form %d half %v: cuBLASLt's product is another", s, f, half)
				}
			}
		}
	}
}

// What is not added to is not read: it may be anything.
func TestLibraryDoesNotReadWhatItOverwrites(t *testing.T) {
	e := withLibrary(t)
	defer closed(t, e)
	const n = 32
	c, got := e.Alloc(n*n), make([]float32, n*n)
	e.Upload(c, slices.Repeat([]float32{float32(math.NaN())}, n*n))
	x := uploaded(e, make([]float32, n*n), false, n, n)
	e.multiply(product{form: nn, m: n, n: n, k: n, a: x, b: x, c: c, ldc: n})
	if e.Download(got, c); !slices.Equal(got, make([]float32, n*n)) {
		t.Error("NaN came through")
	}
}

// The same inputs give the same bits, all of k counts, and sums are rounded once: of the ways to cut a product none is allowed that
// does otherwise.
func TestLibraryIsDeterministic(t *testing.T) {
	e := withLibrary(t)
	defer closed(t, e)
	const m, n = 48, 40
	for _, k := range []int{64, 200, 256, 1000, 1024} {
		r := rand.New(rand.NewPCG(3, uint64(k)))
		a, b, sums := normal(r, m*k), normal(r, k*n), make([]float64, m*n)
		for i := range sums {
			for l := range k {
				sums[i] += float64(engine.FromBF16(engine.ToBF16(a[l*m+i/n]))) * float64(engine.FromBF16(engine.ToBF16(b[l*n+i%n])))
			}
		}
		p := product{form: tn, m: m, n: n, k: k, a: uploaded(e, a, true, m, k), b: uploaded(e, b, false, k, n), ldc: n}
		for _, c := range []engine.Buf{e.Alloc(m * n), e.Alloc(m*n/2).At(0, m*n, engine.BF16)} {
			run := func() []float32 {
				p.c = c
				e.multiply(p)
				wide, got := e.Alloc(m*n), make([]float32, m*n)
				e.Copy(wide, c)
				e.Download(got, wide)
				return got
			}
			first := run()
			for i, got := range first {
				within := 1e-6 * float64(k)
				if c.Type == engine.BF16 { // half a unit of its 8 bits
					_, exponent := math.Frexp(sums[i])
					within += math.Ldexp(1, exponent-9)
				}
				if off := math.Abs(float64(got) - sums[i]); off > within {
					t.Fatalf("k %d, %v: element %d is off by %.2g from %.2g", k, c.Type, i, off, sums[i])
				}
			}
			for range 3 {
				if !slices.Equal(run(), first) {
					t.Fatalf("k %d, %v: other bits", k, c.Type)
				}
			}
		}
	}
}

// What cuBLASLt does not take our own kernels make, and it is counted.
func TestRefusedProducts(t *testing.T) {
	cudatest.Emulated(t)
	e := withLibrary(t)
	defer closed(t, e)
	const n = 16
	eye := make([]float32, n*n)
	for i := range n {
		eye[i*n+i] = 1
	}
	x := uploaded(e, eye, false, n, n)
	ask := func(c engine.Buf, ldc int) {
		t.Helper()
		e.multiply(product{form: nn, m: n, n: n, k: n, a: x, b: x, c: c, ldc: ldc})
		got := make([]float32, c.Len)
		e.Download(got, c)
		for i := range n {
			if got[i*ldc+i] != 1 {
				t.Fatalf("row %d is %v", i, got[i*ldc:i*ldc+n])
			}
		}
	}
	ask(e.Alloc(n*n), n)
	ask(e.Alloc(n*(n+1)), n+1)             // rows at any multiple of 4 bytes
	ask(e.Alloc(n*n+1).Slice(1, n*n+1), n) // the first of them
	cudatest.Setenv(t, "FAKE_CUBLASLT_HEURISTIC", "15")
	ask(e.Alloc(n*n), n)     // whose algorithm is known
	ask(e.Alloc(n*2*n), 2*n) // of another shape
	ask(e.Alloc(n*2*n), 2*n)
	if s := e.Stats(); s.Products != 2 || s.Refused != 4 {
		t.Errorf("%+v, want 2 products and 4 refusals", s)
	}
}

func TestRecordedProducts(t *testing.T) {
	e := withLibrary(t)
	defer closed(t, e)
	const n = 16
	x, y, c, odd := e.Alloc(n*n), e.Alloc(n*n/2).At(0, n*n, engine.BF16), e.Alloc(n*n), e.Alloc(3*3)
	calls := func() error {
		e.Copy(y, x)
		e.LinearGrad(c, y, y, n, n, n, true)
		e.LinearGrad(odd, y.Slice(0, 3*n), y.Slice(0, 3*n), n, 3, 3, false) // copied, and refused
		return nil
	}
	calls()
	want := e.Stats()
	want.Replays = 2
	replay, err := e.Record(calls)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, n*n)
	for i, v := range []float32{1, 2} {
		e.Upload(x, slices.Repeat([]float32{v}, n*n))
		replay()
		e.Download(got, c)
		if want := []float32{n, 5 * n}[i]; got[0] != want || got[n*n-1] != want {
			t.Errorf("replay %d made %v, want %v", i, got[0], want)
		}
	}
	if s := e.Stats(); s != want || s.Products != 1 || s.Refused != 1 || s.Fallbacks != 2 {
		t.Errorf("%+v, want %+v: what was made once, beside two replays", s, want)
	}
}

// A cuBLASLt that was asked for and does not work keeps the engine from opening, with one sentence.
func TestLibrariesThatDoNotWork(t *testing.T) {
	driverFile, file := cudatest.Emulated(t), cudatest.Products(t)
	for name, c := range map[string]struct {
		library, variable, value string
		says                     []string
	}{
		"not there":        {library: "/nonexistent/libcublasLt.so.12", says: []string{"cuBLASLt was not found", "/nonexistent/libcublasLt.so.12"}},
		"a typing mistake": {library: "cublast", says: []string{"cuBLASLt was not found", "cublast"}},
		"something else":   {library: driverFile, says: []string{"lacks cublasLtGetProperty"}},
		"too old":          {file, "FAKE_CUBLASLT_VERSION", "111103", []string{"version 11.11.3, at least 12 is needed", "pip install nvidia-cublas-cu12"}},
		"too new":          {file, "FAKE_CUBLASLT_VERSION", "130100", []string{"version 13.1.0", "the driver supports CUDA 12.8"}},
		"no handle":        {file, "FAKE_CUBLASLT_CREATE", "1", []string{"cuBLASLt 12.6.0", file, "cublasLtCreate: CUBLAS_STATUS_NOT_INITIALIZED", "update the driver"}},
		"no algorithm":     {file, "FAKE_CUBLASLT_HEURISTIC", "15", []string{"no algorithm for a small product"}},
		"a broken search":  {file, "FAKE_CUBLASLT_HEURISTIC", "14", []string{"cublasLtMatmulAlgoGetHeuristic: CUBLAS_STATUS_INTERNAL_ERROR", "SKEIN_CUBLASLT=off"}},
		"no products":      {file, "FAKE_CUBLASLT_MATMUL", "8", []string{"cublasLtMatmul: CUBLAS_STATUS_ARCH_MISMATCH", "newer"}},
		"wrong products":   {file, "FAKE_CUBLASLT_WRONG", "1", []string{"its products are wrong"}},
		"switched off":     {cuBLASLt, cublaslt.Path, cublaslt.Off, []string{"cuBLASLt is not used: SKEIN_CUBLASLT=off"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.variable != "" {
				cudatest.Setenv(t, c.variable, c.value)
			}
			e, err := Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: driverFile, Library: c.library})
			if err == nil {
				t.Fatalf("opened %s", e.Name())
			}
			for _, says := range c.says {
				if !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v, want %q in it", err, says)
				}
			}
		})
	}
}

func TestWhoseProducts(t *testing.T) {
	driverFile, file := cudatest.Emulated(t), cudatest.Products(t)
	classes := map[uint16]string{}
	for _, c := range []struct{ library, variable, version, name string }{
		{"", "", "", "own products"},
		{"builtin", file, "", "own products"},
		{"", cublaslt.Off, "", "own products"},
		{"", file, "120402", "cuBLASLt 12.4.2"},
		{"cublaslt", file, "120402", "cuBLASLt 12.4.2"},
		{file, cublaslt.Off, "120801", "cuBLASLt 12.8.1"},
	} {
		t.Setenv(cublaslt.Path, c.variable)
		cudatest.Setenv(t, "FAKE_CUBLASLT_VERSION", c.version)
		e, err := Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: driverFile, Library: c.library})
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if want := "cuda: GPU 0 Emulated GPU 0 (sm_80) bf16, " + c.name; e.Name() != want {
			t.Errorf("%+v: opened %q", c, e.Name())
		}
		if other, ok := classes[e.Class()]; ok && other != c.name {
			t.Errorf("%s and %s are of one class", other, c.name)
		}
		classes[e.Class()] = c.name
		closed(t, e)
	}
	if len(classes) != 3 {
		t.Errorf("classes %v, want one for each library", classes)
	}
}

// A product that fails on the way is the engine's failure, in one sentence.
func TestProductThatFails(t *testing.T) {
	cudatest.Emulated(t)
	e := withLibrary(t)
	cudatest.Setenv(t, "FAKE_CUBLASLT_MATMUL", "13")
	x := e.Alloc(64 * 64)
	e.LinearGrad(x, e.Alloc(64*64), e.Alloc(64*64), 64, 64, 64, false)
	err := e.Err()
	if !errors.Is(err, cublaslt.ExecutionFailed) || !strings.Contains(err.Error(), "cuBLASLt 12.6.0: a product of 64×64 by 64×64: cublasLtMatmul: CUBLAS_STATUS_EXECUTION_FAILED: ") {
		t.Errorf("got %v", err)
	}
	if err := e.Close(); !errors.Is(err, cublaslt.ExecutionFailed) {
		t.Errorf("close: %v", err)
	}
}

// A GPU that is lost in a product is lost as in a kernel.
func TestLostInAProduct(t *testing.T) {
	cudatest.Emulated(t)
	e := withLibrary(t)
	x := e.Alloc(64 * 64)
	e.Wait()
	cudatest.Setenv(t, "FAKE_CUDA_LOST", "2") // after the factors were rounded
	e.LinearGrad(x, x, e.Alloc(64*64), 64, 64, 64, false)
	e.Wait()
	if err := e.Err(); !errors.Is(err, driver.LaunchFailed) {
		t.Errorf("got %v", err)
	}
	if err := e.Close(); !errors.Is(err, driver.LaunchFailed) {
		t.Errorf("close: %v", err)
	}
}

// closed closes an engine in which nothing must have failed.
func closed(t *testing.T, e *Engine) {
	t.Helper()
	if err := errors.Join(e.Err(), e.Close()); err != nil {
		t.Error(err)
	}
}
