//go:build linux || darwin

package blas

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

func probes() []func() Library {
	return append(systemProbes(), builtinLibrary, gonumLibrary)
}

// library is an open shared object.
type library struct {
	handle uintptr
	file   string // the name it was opened by
}

// load opens the first file there is. The libraries read their number of threads from the environment when they are
// loaded, so that is set before.
func load(files ...string) (library, error) {
	for _, name := range []string{"OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OPENBLAS_NUM_THREADS"} {
		setenv(name, "1")
	}
	var reasons []string
	for _, f := range files {
		h, err := purego.Dlopen(f, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err == nil {
			return library{h, f}, nil
		}
		reasons = append(reasons, err.Error())
	}
	return library{}, fmt.Errorf("%s", strings.Join(reasons, "; "))
}

// symbol is the address of a C function, 0 if the library has none of that name.
func (l library) symbol(name string) uintptr {
	p, err := purego.Dlsym(l.handle, name)
	if err != nil {
		return 0
	}
	return p
}

// path is the file that an address belongs to, as the loader found it.
func (l library) path(symbol uintptr) string {
	dladdr, err := purego.Dlsym(purego.RTLD_DEFAULT, "dladdr")
	if err != nil {
		return l.file
	}
	var info struct {
		file    *byte
		base    uintptr
		name    *byte
		address uintptr
	}
	var call func(addr uintptr, info unsafe.Pointer) int32
	purego.RegisterFunc(&call, dladdr)
	if call(symbol, unsafe.Pointer(&info)) == 0 || info.file == nil {
		return l.file
	}
	return goString(info.file)
}

// setenv changes the environment that C sees; Go's own copy, and so that of child processes, stays as it is.
func setenv(name, value string) {
	p, err := purego.Dlsym(purego.RTLD_DEFAULT, "setenv")
	if err != nil {
		return
	}
	var call func(name, value string, overwrite int32) int32
	purego.RegisterFunc(&call, p)
	call(name, value, 1)
}

// text calls a C function that takes nothing and returns a string.
func (l library) text(name string) string {
	p := l.symbol(name)
	if p == 0 {
		return ""
	}
	var call func() string
	purego.RegisterFunc(&call, p)
	return call()
}

func goString(p *byte) string {
	const longest = 4096 // bytes; a path
	n := 0
	for n < longest && *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}
