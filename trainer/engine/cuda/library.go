package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/cublaslt"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// What engine.Options.Library may be, beside a file of cuBLASLt, and nothing: whatever is best.
const (
	cuBLASLt = "cublaslt"
	builtin  = "builtin"
)

// ErrUnwanted is wrapped where our own kernels make products because somebody said so.
var ErrUnwanted = errors.New("cuBLASLt is not used")

// Library loads the cuBLASLt that Open would take, with a driver for CUDA v. The error wraps ErrUnwanted, or what package cublaslt says.
func Library(o engine.Options, v driver.Version) (*cublaslt.Library, error) {
	file := os.Getenv(cublaslt.Path)
	switch {
	case o.Library == builtin:
		return nil, fmt.Errorf("%w: own products were asked for", ErrUnwanted)
	case o.Library != "" && o.Library != cuBLASLt:
		file = o.Library
	case file == cublaslt.Off:
		return nil, fmt.Errorf("%w: %s=%s", ErrUnwanted, cublaslt.Path, file)
	case o.Library == "" && file == "" && driver.Named(o.Driver) != "": // for tests: what is found is for the system's driver
		return nil, fmt.Errorf("%w: it is not looked for beside a driver that is named; %s names it, too", ErrUnwanted, cublaslt.Path)
	}
	return cublaslt.Open(file, v)
}

// chooseProducts opens cuBLASLt if it should, and says for the engine's name who makes products. What was asked for has to work; what
// was merely found is left alone if it does not.
func (e *Engine) chooseProducts(o engine.Options) (string, error) {
	const own = "own products"
	l, err := Library(o, e.context.Device.Version())
	if err == nil {
		err = e.openLibrary(l)
	}
	switch asked := cmp.Or(o.Library, os.Getenv(cublaslt.Path)) != ""; {
	case err == nil:
		return fmt.Sprintf("cuBLASLt %v", l.Version), nil
	case errors.Is(err, ErrUnwanted) && o.Library != cuBLASLt:
		return own, nil
	case asked || e.err != nil:
		return "", err
	case errors.Is(err, cublaslt.ErrMissing):
		return own, nil
	}
	return own + " (cuBLASLt cannot be used: skein doctor says why)", nil
}

// openLibrary prepares cuBLASLt for the GPU and tries it out.
func (e *Engine) openLibrary(l *cublaslt.Library) (err error) {
	if e.library, err = l.New(e.context); err == nil {
		if err = e.tryLibrary(); err != nil {
			e.Wait() // a product may be queued
			err = errors.Join(err, e.library.Close())
			e.library = nil
		}
	}
	if err != nil {
		return fmt.Errorf("cuBLASLt %v (%s): %w", l.Version, l.File, err)
	}
	return nil
}

// tryLibrary makes a product of each form, of numbers that leave nothing to round.
func (e *Engine) tryLibrary() error {
	const m, n, k = 24, 40, 64
	half := func(rows, cols int) (matrix, []float32) {
		x, bits := make([]float32, rows*cols), make([]uint16, rows*cols)
		for i := range x {
			x[i] = float32(i*i%11) - 5
			bits[i] = engine.ToBF16(x[i])
		}
		b := e.Alloc(engine.BF16.Words(len(x)))
		upload(e, b.Addr, bits)
		return matrix{b.Addr, cols}, x
	}
	for _, f := range []form{nt, nn, tn} {
		p := product{form: f, m: m, n: n, k: k, c: e.Alloc(m * n), ldc: n}
		var a, b []float32
		p.a, a = half(stored(f == tn, m, k))
		p.b, b = half(stored(f == nt, k, n))
		for _, p.add = range []bool{false, true} {
			if e.err != nil {
				return e.err
			}
			if done, err := e.library.Multiply(e.stream, p.toLibrary(), e.addresses(p), p.add); err != nil || !done {
				return cmp.Or(err, errNoProduct)
			}
		}
		got := make([]float32, m*n)
		e.Download(got, p.c)
		ai, ap := strides(f == tn, m, k)
		bp, bj := strides(f == nt, k, n)
		for i := range got {
			var want float32
			for l := range k {
				want += 2 * a[i/n*ai+l*ap] * b[l*bp+i%n*bj]
			}
			if got[i] != want {
				return cmp.Or(e.err, fmt.Errorf("its products are wrong: an element is %v, not %v", got[i], want))
			}
		}
	}
	return nil
}

var errNoProduct = errors.New("it has no algorithm for a small product")

// stored is the shape of what is stored of X [rows, cols].
func stored(turned bool, rows, cols int) (int, int) {
	if turned {
		return cols, rows
	}
	return rows, cols
}

// multiplyByLibrary queues a product with cuBLASLt. It returns false if it did not, because there is no cuBLASLt, or because it cannot
// make this product, which is counted.
func (e *Engine) multiplyByLibrary(p product) bool {
	if e.library == nil || e.err != nil {
		return false
	}
	done := false
	if inLines(p.c, p.ldc) {
		var err error
		done, err = e.library.Multiply(e.stream, p.toLibrary(), e.addresses(p), p.add)
		if err != nil {
			e.fail(fmt.Errorf("a product of %d×%d by %d×%d: %w", p.m, p.k, p.k, p.n, err))
			return false
		}
	}
	if done {
		e.stats.Products++
	} else {
		e.stats.Refused++
	}
	return done
}

func (p product) toLibrary() cublaslt.Product {
	return cublaslt.Product{M: p.m, N: p.n, K: p.k, TransA: p.form == tn, TransB: p.form == nt,
		RowA: p.a.ld, RowB: p.b.ld, RowC: p.ldc, Half: p.c.Type == engine.BF16}
}

func (e *Engine) addresses(p product) cublaslt.Operands {
	return cublaslt.Operands{A: p.a.addr, B: p.b.addr, C: p.c.Addr, Workspace: e.room(&e.slots.workspace, cublaslt.Workspace)}
}
