// Package blas finds a fast matrix product at run time: a system library through purego, with no cgo and no tool
// chain, or gonum's loops where there is none.
//
// Libraries are told to use one thread. The work is split by the caller, by blocks that depend on the shape only, so
// that results do not depend on the number of threads.
package blas

import (
	"errors"
	"fmt"
)

// Matrix is a row-major matrix in memory: element (i, j) is Data[i·Stride + j].
type Matrix struct {
	Data   *float32
	Stride int
	Trans  bool // the operand is the transpose of what is stored
}

// Multiplier computes C = A·B + beta·C with A [m,k], B [k,n] (after transposition) and C [m,n], never transposed.
// Any number of goroutines may call it at once. It keeps no reference to the memory.
type Multiplier interface {
	Sgemm(m, n, k int, a, b Matrix, beta float32, c Matrix)
}

// Library describes one candidate.
type Library struct {
	Name    string // the name that Open takes: onednn, openblas, accelerate, builtin, gonum
	Title   string // as people write it: oneDNN
	Path    string // the file, when found
	Version string // what it says about itself, when found
	Found   bool
	Note    string // when not found: why, and what to install

	open func() (Multiplier, error)
}

// Open is the fastest library found, or the named one; the Library says which it is. A named library that is not
// there is an error: nothing falls back in silence.
func Open(name string) (Multiplier, Library, error) {
	for _, probe := range probes() {
		l := probe()
		if name != "" && l.Name != name {
			continue
		}
		if !l.Found {
			if name == "" {
				continue
			}
			return nil, l, fmt.Errorf("matrix library %s: %s", l.Name, l.Note)
		}
		m, err := l.open()
		return m, l, err
	}
	return nil, Library{}, fmt.Errorf("matrix library %q: %w", name, errUnknown)
}

var errUnknown = errors.New("no such library; know onednn, openblas, accelerate, builtin, gonum")

// Probe looks for every library this system may have, fastest first. It loads what it finds.
func Probe() []Library {
	var found []Library
	for _, probe := range probes() {
		found = append(found, probe())
	}
	return found
}
