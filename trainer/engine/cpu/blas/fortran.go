//go:build linux || darwin

package blas

import (
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// fortranLibrary probes a BLAS with the Fortran interface: sgemm_, every argument by address.
func fortranLibrary(name, title, install string, files ...string) Library {
	l := Library{Name: name, Title: title, Install: install}
	lib, err := load(files...)
	if err != nil {
		l.Note = err.Error()
		return l
	}
	sgemm := lib.symbol("sgemm_")
	if sgemm == 0 {
		l.Note = lib.file + " has no sgemm_"
		return l
	}
	l.Found, l.Path = true, lib.path(sgemm)
	l.Version = openblasVersion(lib.text("openblas_get_config"), lib.text("openblas_get_corename"))
	l.open = func() (Multiplier, error) {
		if p := lib.symbol("openblas_set_num_threads"); p != 0 {
			purego.SyscallN(p, 1)
		}
		return fortran{sgemm}, nil
	}
	return l
}

// openblasVersion picks the number out of "OpenBLAS 0.3.21 NO_LAPACKE …" and names the kernels that were chosen for
// this processor, as results depend on them.
func openblasVersion(config, core string) string {
	words := strings.Fields(config)
	if len(words) < 2 {
		return core
	}
	return strings.TrimSpace(words[1] + " " + core)
}

type fortran struct{ sgemm uintptr }

// fortranArgs is what C reads through pointers, so it must not lie on a stack, which moves.
type fortranArgs struct {
	transA, transB         byte
	m, n, k, lda, ldb, ldc int32
	alpha, beta            float32
}

var fortranPool = sync.Pool{New: func() any { return new(fortranArgs) }}

// Sgemm: Fortran is column-major, which is row-major with the operands exchanged.
func (f fortran) Sgemm(m, n, k int, a, b Matrix, beta float32, c Matrix) {
	x := fortranPool.Get().(*fortranArgs)
	*x = fortranArgs{transA: letter(b), transB: letter(a), m: int32(n), n: int32(m), k: int32(k),
		lda: int32(b.Stride), ldb: int32(a.Stride), ldc: int32(c.Stride), alpha: 1, beta: beta}
	purego.SyscallN(f.sgemm, addr(&x.transA), addr(&x.transB), addr(&x.m), addr(&x.n), addr(&x.k), addr(&x.alpha),
		addr(b.Data), addr(&x.lda), addr(a.Data), addr(&x.ldb), addr(&x.beta), addr(c.Data), addr(&x.ldc),
		1, 1) // the hidden lengths of the two character arguments
	fortranPool.Put(x)
}

func letter(m Matrix) byte {
	if m.Trans {
		return 'T'
	}
	return 'N'
}

func addr[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }
