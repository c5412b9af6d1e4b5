package cublaslt

import (
	"errors"
	"unsafe"
)

// Product is C[M,N] = op(A)·op(B), summed in float32. Matrices are row-major; A and B are bfloat16.
type Product struct {
	M, N, K          int
	TransA, TransB   bool // A is stored [K,M], not [M,K]; B is stored [N,K], not [K,N]
	RowA, RowB, RowC int  // elements from row to row of what is stored
	Half             bool // C is bfloat16, else float32
}

// plan is how the library makes a product: its descriptions of the matrices, and the algorithm that it chose. It counts in columns:
// a row-major matrix is the transpose of a column-major one of the same bytes, so it makes Cᵀ = op(B)ᵀ·op(A)ᵀ. (It knows row-major
// matrices, too, but not for every size.)
type plan struct {
	operation           uintptr
	left, right, result uintptr // B, A and C
	choice              choice
}

// choice is a cublasLtMatmulHeuristicResult_t, which begins with the algorithm.
type choice struct {
	algorithm [8]uint64
	workspace uint64
	status    int32
	waves     float32
	reserved  [4]int32
}

// From library_types.h and cublas_api.h: cudaDataType, cublasComputeType_t, cublasOperation_t.
const (
	float32s, bfloat16s = 0, 14 // CUDA_R_32F, CUDA_R_16BF
	inFloat32           = 68    // CUBLAS_COMPUTE_32F
	transposed          = 1     // CUBLAS_OP_T
)

// From cublasLt.h: cublasLtMatmulDescAttributes_t, cublasLtMatmulPreferenceAttributes_t.
const (
	turnLeft, turnRight = 3, 4 // CUBLASLT_MATMUL_DESC_TRANSA, _TRANSB

	maxWorkspace = 1 // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
	reduction    = 3 // CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK
	alignments   = 5 // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES; those of B, C and D follow
)

// Ways to add up a product that is cut along k (cublasLtReductionScheme_t). Without any there are only uncut ones.
const (
	uncut      = 0
	inFloat32s = 2 // CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE: parts go to the workspace in float32, a second kernel adds them
)

// reductions are the ways that an algorithm may use. CUBLASLT_REDUCTION_SCHEME_INPLACE is left out, as blocks add to C in the order in which
// they come to it, and so is CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, which rounds parts to C's type. Where k is no multiple of a
// step there is no cut at all: some versions are reported to lose what is left over then
// (https://github.com/facebookexperimental/triton/pull/2767), which nobody would notice.
func reductions(p Product) uint32 {
	const steps = 256 // a multiple of any kernel's step along k
	if p.K%steps == 0 {
		return inFloat32s
	}
	return uncut
}

// plan describes a product and asks for an algorithm. It returns nil where there is none.
func (h *Handle) plan(p Product) (*plan, error) {
	made := &plan{}
	err := made.describe(h.library, p)
	if err == nil {
		err = made.choose(h, p)
	}
	if err == nil {
		return made, nil
	}
	failed := made.close(h.library)
	if errors.Is(err, NotSupported) {
		return nil, failed
	}
	return nil, errors.Join(err, failed)
}

func (p *plan) describe(l *Library, of Product) error {
	if err := l.call(cublasLtMatmulDescCreate, uintptr(unsafe.Pointer(&p.operation)), inFloat32, float32s); err != nil {
		return err
	}
	if of.TransB {
		if err := set[int32](l, cublasLtMatmulDescSetAttribute, p.operation, turnLeft, transposed); err != nil {
			return err
		}
	}
	if of.TransA {
		if err := set[int32](l, cublasLtMatmulDescSetAttribute, p.operation, turnRight, transposed); err != nil {
			return err
		}
	}
	kind := uintptr(float32s)
	if of.Half {
		kind = bfloat16s
	}
	return errors.Join(
		l.describe(&p.left, bfloat16s, of.K, of.N, of.TransB, of.RowB),
		l.describe(&p.right, bfloat16s, of.M, of.K, of.TransA, of.RowA),
		l.describe(&p.result, kind, of.M, of.N, false, of.RowC))
}

// describe makes the description of a row-major matrix, rows×cols or turned.
func (l *Library) describe(to *uintptr, kind uintptr, rows, cols int, turned bool, row int) error {
	if turned {
		rows, cols = cols, rows
	}
	return l.call(cublasLtMatrixLayoutCreate, uintptr(unsafe.Pointer(to)), kind, uintptr(cols), uintptr(rows), uintptr(row))
}

// choose asks for the algorithm that the library expects to be the fastest. It fails with NotSupported where there is none.
func (p *plan) choose(h *Handle, of Product) error {
	l := h.library
	preference, err := l.preference(of)
	if preference != 0 {
		defer l.call(cublasLtMatmulPreferenceDestroy, preference)
	}
	if err != nil {
		return err
	}
	var found int32
	if err := l.call(cublasLtMatmulAlgoGetHeuristic, h.handle, p.operation, p.left, p.right, p.result, p.result, preference,
		1, uintptr(unsafe.Pointer(&p.choice)), uintptr(unsafe.Pointer(&found))); err != nil {
		return err
	}
	status := Status(p.choice.status)
	if found == 0 {
		status = NotSupported
	}
	if status != 0 {
		return &Error{names[cublasLtMatmulAlgoGetHeuristic], status}
	}
	return nil
}

// preference describes which algorithms will do. It is to be destroyed, also if there is an error, unless it is 0.
func (l *Library) preference(of Product) (uintptr, error) {
	var preference uintptr
	if err := l.call(cublasLtMatmulPreferenceCreate, uintptr(unsafe.Pointer(&preference))); err != nil {
		return 0, err
	}
	err := errors.Join(
		set[uint64](l, cublasLtMatmulPreferenceSetAttribute, preference, maxWorkspace, Workspace),
		set(l, cublasLtMatmulPreferenceSetAttribute, preference, reduction, reductions(of)))
	for matrix := range uintptr(4) {
		err = errors.Join(err, set[uint32](l, cublasLtMatmulPreferenceSetAttribute, preference, alignments+matrix, Align))
	}
	return preference, err
}

// set sets an attribute of a description.
func set[T int32 | uint32 | uint64](l *Library, s symbol, of, attribute uintptr, value T) error {
	return l.call(s, of, attribute, uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value))
}

// close drops the descriptions that were made.
func (p *plan) close(l *Library) error {
	var errs []error
	for _, layout := range []uintptr{p.left, p.right, p.result} {
		if layout != 0 {
			errs = append(errs, l.call(cublasLtMatrixLayoutDestroy, layout))
		}
	}
	if p.operation != 0 {
		errs = append(errs, l.call(cublasLtMatmulDescDestroy, p.operation))
	}
	return errors.Join(errs...)
}
