package cublaslt

import "fmt"

// Status is a cublasStatus_t other than success.
type Status int32

// The statuses of cublas_api.h that calls of this package may return.
const (
	NotInitialized  Status = 1
	AllocFailed     Status = 3
	InvalidValue    Status = 7
	ArchMismatch    Status = 8
	MappingError    Status = 11
	ExecutionFailed Status = 13
	InternalError   Status = 14
	NotSupported    Status = 15
)

// meanings are the library's names of statuses, and in words what they mean and what to do.
var meanings = map[Status]string{
	NotInitialized:  "CUBLAS_STATUS_NOT_INITIALIZED: it cannot use this GPU with this driver: update the driver, or take another version of cuBLASLt",
	AllocFailed:     "CUBLAS_STATUS_ALLOC_FAILED: memory is full: lower train.micro_batch_size, or set train.recompute=block",
	InvalidValue:    "CUBLAS_STATUS_INVALID_VALUE: a fault in Skein: please report it; " + Path + "=off does without cuBLASLt",
	ArchMismatch:    "CUBLAS_STATUS_ARCH_MISMATCH: this version has no kernels for this GPU: take a newer one",
	MappingError:    "CUBLAS_STATUS_MAPPING_ERROR: the GPU's memory cannot be reached",
	ExecutionFailed: "CUBLAS_STATUS_EXECUTION_FAILED: the GPU did not take the work: restart the worker, and look into dmesg for Xid messages if it happens again",
	InternalError:   "CUBLAS_STATUS_INTERNAL_ERROR: a fault in cuBLASLt: take another version, or do without it: " + Path + "=off",
	NotSupported:    "CUBLAS_STATUS_NOT_SUPPORTED: it has no algorithm for this",
}

func (s Status) Error() string {
	if m, ok := meanings[s]; ok {
		return m
	}
	return fmt.Sprintf("cuBLAS status %d", int32(s))
}

// Error is a call that failed.
type Error struct {
	Call string // as the library names it
	Status
}

func (e *Error) Error() string { return e.Call + ": " + e.Status.Error() }

// Unwrap is the Status.
func (e *Error) Unwrap() error { return e.Status }
