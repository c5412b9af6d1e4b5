// Package kernels holds the kernels of the CUDA engine: CUDA C beside this file, and the PTX that clang makes of it, which
// the driver compiles for the GPU at hand. `make ptx` writes the PTX anew.
package kernels

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed *.ptx
var files embed.FS

// Module is the PTX of one source file.
type Module struct {
	Name string // "rows.ptx"
	PTX  []byte
}

// Modules lists all of them.
func Modules() ([]Module, error) {
	names, err := fs.Glob(files, "*.ptx")
	if err != nil {
		return nil, fmt.Errorf("kernels: %w", err)
	}
	var all []Module
	for _, name := range names {
		ptx, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("kernels: %w", err)
		}
		all = append(all, Module{name, ptx})
	}
	return all, nil
}
