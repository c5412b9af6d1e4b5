// Package cublaslt multiplies matrices of bfloat16 with NVIDIA's cuBLASLt, which is found and loaded at run time: no cgo, and no
// toolkit to build with. The numbers and layouts of its interface are from cublasLt.h of CUDA 12.6; in 13.6 they are the same.
//
// Results have the same bits from run to run on GPUs of one kind (see reductions). Other versions of the library, and GPUs with
// another number of processors, may round differently.
package cublaslt

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/skein-train/skein/trainer/engine/cuda/driver"
	"github.com/skein-train/skein/trainer/engine/cuda/internal/library"
)

// What may be wrong with the library; errors that Open returns wrap one of these.
var (
	ErrMissing = errors.New("cuBLASLt was not found")
	ErrUnfit   = errors.New("cuBLASLt does not fit")
)

// Oldest and Newest are the major versions that are looked for. Files of cuBLASLt of major version N need a driver for CUDA N.
const Oldest, Newest = 12, 13

// Version is cuBLASLt's own, near to that of the toolkit it comes with.
type Version struct{ Major, Minor, Patch int }

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Library is cuBLASLt, loaded.
type Library struct {
	File    string
	Version Version
	entry   [symbols]uintptr
}

// Open loads the library from a file, or if that is empty the newest that a driver for CUDA v can run, from where toolkits, pip
// and conda put it. The error wraps ErrMissing or ErrUnfit.
func Open(file string, v driver.Version) (*Library, error) {
	if file != "" {
		return open(file, v)
	}
	return first(places(v), v)
}

// first is the first library of those files that there is.
func first(files []string, v driver.Version) (*Library, error) {
	var unfit error
	for _, f := range files {
		l, err := open(f, v)
		if err == nil {
			return l, nil
		}
		if unfit == nil && errors.Is(err, ErrUnfit) {
			unfit = err
		}
	}
	if unfit != nil {
		return nil, unfit
	}
	return nil, fmt.Errorf("%w; %s", ErrMissing, Install(v))
}

// Install says how to get what a driver for CUDA v can run.
func Install(v driver.Version) string {
	if v >= 1000*Newest {
		return "pip install nvidia-cublas, or NVIDIA's CUDA toolkit, brings it"
	}
	return "pip install nvidia-cublas-cu12, or NVIDIA's CUDA toolkit, brings it"
}

func open(file string, v driver.Version) (*Library, error) {
	lib, err := library.Open(file)
	if err != nil {
		what := ErrMissing
		if _, gone := os.Stat(file); gone == nil {
			what = ErrUnfit
		}
		return nil, fmt.Errorf("%w: %w", what, err)
	}
	l := &Library{File: file}
	if missing := lib.Symbols(l.entry[:], names[:]); missing != "" {
		return nil, fmt.Errorf("%w: %s lacks %s", ErrUnfit, file, missing)
	}
	for property, to := range []*int{&l.Version.Major, &l.Version.Minor, &l.Version.Patch} { // libraryPropertyType
		var n int32
		if err := l.call(cublasLtGetProperty, uintptr(property), uintptr(unsafe.Pointer(&n))); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrUnfit, file, err)
		}
		*to = int(n)
	}
	switch {
	case l.Version.Major < Oldest:
		return nil, fmt.Errorf("%w: %s is version %v, at least %d is needed; %s", ErrUnfit, file, l.Version, Oldest, Install(v))
	case driver.Version(1000*l.Version.Major) > v:
		return nil, fmt.Errorf("%w: %s is version %v, and the driver supports CUDA %v; update the driver, or %s", ErrUnfit, file, l.Version, v, Install(v))
	}
	return l, nil
}

// call makes one call. As in package driver, arguments that are addresses of Go memory have to be converted in the argument
// list itself.
//
//go:uintptrescapes
func (l *Library) call(s symbol, args ...uintptr) error {
	r, _, _ := purego.SyscallN(l.entry[s], args...)
	if status := Status(int32(r)); status != 0 {
		return &Error{Call: names[s], Status: status}
	}
	return nil
}
