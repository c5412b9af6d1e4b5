// Package driver speaks to NVIDIA's driver through libcuda, which is found and loaded at run time: no cgo, no toolkit.
//
// Every return code is checked and becomes an *Error that names the call, the code and the remedy. Contexts belong to
// threads, goroutines do not: each call makes its Context current on the thread it runs on, so a Context may be used by
// one goroutine after the other, at a time by one.
package driver

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/skein-train/skein/trainer/engine/cuda/internal/library"
)

// Path is the environment variable that names the file to load in place of the system's libcuda, for tests.
const Path = "SKEIN_CUDA_DRIVER"

// What may be missing; errors that Open and Devices return wrap one of these or a Code.
var (
	ErrNoDriver  = errors.New("no NVIDIA driver")
	ErrOldDriver = errors.New("the NVIDIA driver is too old")
)

// Version is a CUDA version, 1000·major + 10·minor.
type Version int

func (v Version) String() string { return fmt.Sprintf("%d.%d", int(v)/1000, int(v)%1000/10) }

// Oldest is the CUDA version that a driver must support: that of driver 525, the first of CUDA 12.
const Oldest Version = 12000

const install = "install NVIDIA's driver 525 or newer (apt install nvidia-driver, or nvidia.com/drivers); the CUDA toolkit is not needed"

// Driver is libcuda, loaded and initialised.
type Driver struct {
	Library string  // the file it was loaded from
	Version Version // of CUDA, that the driver supports at most
	entry   [symbols]uintptr
}

// Named is the file that somebody asked for, by itself or through SKEIN_CUDA_DRIVER; empty: wherever systems keep it.
func Named(file string) string { return cmp.Or(file, os.Getenv(Path)) }

// Open loads libcuda from a file, or if it is empty from where SKEIN_CUDA_DRIVER says, or from where systems keep it.
// The error wraps ErrNoDriver, ErrOldDriver or a Code.
func Open(file string) (*Driver, error) {
	where := places()
	if file = Named(file); file != "" {
		where = []string{file}
	}
	lib, err := loadFirst(where)
	if err != nil {
		return nil, err
	}
	d := &Driver{Library: lib.File}
	if missing := lib.Symbols(d.entry[:], names[:]); missing != "" {
		return nil, fmt.Errorf("%w: %s lacks %s; %s", ErrOldDriver, lib.File, missing, install)
	}
	if err := d.call(cuInit, 0); err != nil {
		return nil, err
	}
	var v int32
	if err := d.call(cuDriverGetVersion, uintptr(unsafe.Pointer(&v))); err != nil {
		return nil, err
	}
	if d.Version = Version(v); d.Version < Oldest {
		return nil, fmt.Errorf("%w: it supports CUDA %v, at least %v is needed; %s", ErrOldDriver, d.Version, Oldest, install)
	}
	return d, nil
}

// call makes one call. Arguments that are addresses of Go memory have to be converted in the argument list itself: the
// directive then moves what they point to to the heap and keeps it there until the call returns. Without it a variable
// may live on a stack that moves during the call.
//
//go:uintptrescapes
func (d *Driver) call(s symbol, args ...uintptr) error {
	r, _, _ := purego.SyscallN(d.entry[s], args...)
	return check(s, r)
}

// check reads the lower half of a register: a CUresult is 32 bits, and what the other half holds is not defined. It is in a function
// of its own because call is on the way of every launch.
func check(s symbol, r uintptr) error {
	if code := Code(int32(r)); code != 0 {
		return &Error{Call: names[s], Code: code}
	}
	return nil
}

func loadFirst(files []string) (library.Library, error) {
	if len(files) == 0 {
		return library.Library{}, fmt.Errorf("%w: there is no CUDA on %s/%s", ErrNoDriver, runtime.GOOS, runtime.GOARCH)
	}
	var reasons []error
	for _, f := range files {
		l, err := library.Open(f)
		if err == nil {
			return l, nil
		}
		reasons = append(reasons, err)
	}
	return library.Library{}, &missingError{reasons}
}

// missingError says in one sentence what to do; what was tried is there for who unwraps it.
type missingError struct{ reasons []error }

func (*missingError) Error() string {
	return fmt.Sprintf("%v was found; with an NVIDIA GPU, %s", ErrNoDriver, install)
}

func (e *missingError) Unwrap() []error { return append([]error{ErrNoDriver}, e.reasons...) }
