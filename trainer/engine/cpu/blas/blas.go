// Package blas finds a fast matrix product at run time: a system library through purego, with no cgo and no tool
// chain, or gonum's loops where there is none.
//
// Libraries are told to use one thread. The work is split by the caller, by blocks that depend on the shape only, so
// that results do not depend on the number of threads.
package blas

import (
	"errors"
	"fmt"
	"strings"
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
	Note    string // when not found: why
	Install string // how to get it, where it is something to install

	open func() (Multiplier, error)
}

// Open is the fastest library found, or the named one; the Library says which it is. The Multiplier of "builtin" is nil:
// that product is the engine's own. A named library that is not
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
			return nil, l, fmt.Errorf("matrix library %s is not here: %s%s", l.Name, l.Note, hint(l))
		}
		m, err := l.open()
		return m, l, err
	}
	return nil, Library{}, fmt.Errorf("matrix library %q: %w", name, errUnknown)
}

func hint(l Library) string {
	if l.Install == "" {
		return ""
	}
	return " (" + l.Install + ")"
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

// Advice says what to install when none of the fast libraries is there, and is empty otherwise.
func Advice(found []Library) string {
	var missing []string
	for _, l := range found {
		if l.Install == "" {
			continue
		}
		if l.Found {
			return ""
		}
		missing = append(missing, l.Title+": "+l.Install)
	}
	if len(missing) == 0 {
		return "no matrix library can be loaded on this system; the built-in product is used"
	}
	return "for faster matrix products install one of: " + strings.Join(missing, "; ")
}
