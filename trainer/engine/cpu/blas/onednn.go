//go:build linux || darwin

package blas

import (
	"fmt"
	"unsafe"

	"github.com/ebitengine/purego"
)

// onednnLibrary probes oneDNN, whose dnnl_sgemm is the same in versions 2 and 3: row-major, scalars by value.
func onednnLibrary(install string, files ...string) Library {
	l := Library{Name: "onednn", Title: "oneDNN", Install: install}
	lib, err := load(files...)
	if err != nil {
		l.Note = err.Error()
		return l
	}
	sgemm := lib.symbol("dnnl_sgemm")
	if sgemm == 0 {
		l.Note = lib.file + " has no dnnl_sgemm"
		return l
	}
	l.Found, l.Path, l.Version = true, lib.path(sgemm), onednnVersion(lib)
	l.open = func() (Multiplier, error) { return newOnednn(sgemm), nil }
	return l
}

func onednnVersion(lib library) string {
	p := lib.symbol("dnnl_version")
	if p == 0 {
		return ""
	}
	var call func() unsafe.Pointer
	purego.RegisterFunc(&call, p)
	v := (*[3]int32)(call())
	return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2])
}
