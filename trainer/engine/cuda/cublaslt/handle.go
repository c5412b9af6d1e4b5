package cublaslt

import (
	"errors"
	"unsafe"

	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// Align is what the addresses of all matrices, and the bytes from row to row of each, must be a multiple of; Workspace is the
// memory that Multiply needs beside them, in bytes: what NVIDIA recommends for Hopper. Both are constants, as algorithms are
// chosen by them.
const (
	Align     = 16
	Workspace = 32 << 20
)

// Handle is cuBLASLt on one GPU. It is used as its Context is: by one goroutine at a time.
type Handle struct {
	library *Library
	context *driver.Context
	handle  uintptr
	plans   map[Product]*plan // nil: there is no algorithm
	scalars *[2]float32       // 0 and 1
}

// New prepares the library for a GPU.
func (l *Library) New(c *driver.Context) (*Handle, error) {
	h := &Handle{library: l, context: c, plans: map[Product]*plan{}, scalars: &[2]float32{0, 1}}
	err := c.Do(func() error {
		var handle uintptr
		err := l.call(cublasLtCreate, uintptr(unsafe.Pointer(&handle)))
		h.handle = handle
		return err
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Close gives back what the library holds. No product that it made may be queued any more, nor captured in a graph.
func (h *Handle) Close() error {
	return h.context.Do(func() error {
		var errs []error
		for _, p := range h.plans {
			if p != nil {
				errs = append(errs, p.close(h.library))
			}
		}
		return errors.Join(append(errs, h.library.call(cublasLtDestroy, h.handle))...)
	})
}

// Operands are the addresses of a product's matrices and of Workspace bytes, a multiple of 256.
type Operands struct{ A, B, C, Workspace uintptr }

// Multiply queues C = op(A)·op(B), or with add C + op(A)·op(B). It waits for nothing and takes no memory of the GPU, so it may be captured.
// done is false where the library has no algorithm for p: then nothing was queued.
func (h *Handle) Multiply(s *driver.Stream, p Product, x Operands, add bool) (done bool, err error) {
	err = h.context.Do(func() error {
		plan, known := h.plans[p]
		if !known {
			if plan, err = h.plan(p); err != nil {
				return err
			}
			h.plans[p] = plan
		}
		if plan == nil {
			return nil
		}
		done = true
		alpha, beta := &h.scalars[1], &h.scalars[0]
		if add {
			beta = alpha
		}
		return h.library.call(cublasLtMatmul, h.handle, plan.operation, uintptr(unsafe.Pointer(alpha)), x.B, plan.left, x.A, plan.right,
			uintptr(unsafe.Pointer(beta)), x.C, plan.result, x.C, plan.result, uintptr(unsafe.Pointer(&plan.choice)), x.Workspace, Workspace, s.Handle())
	})
	return done && err == nil, err
}
