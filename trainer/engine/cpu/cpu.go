// Package cpu is the engine for ordinary processors: matrix products from a library found at run time, all other
// kernels vectorised (see kernels), and goroutines for parallel work.
//
// Work is cut into tasks that depend on the shapes only, and what tasks add up is added in their order, so results
// are the same bits for any number of threads.
package cpu

import (
	"fmt"
	"hash/fnv"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/blas"
	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// Engine is the CPU engine.
type Engine struct {
	hostmem.Memory
	team team
	mul  multiplier
	k    kernels.Set

	name  string
	class uint16

	ropes   map[ropeKey]ropeTable
	scratch []scratch // one per worker
	panel   scratch   // the packed factor of a product, which all workers read
	heads   scratch   // Head's logits
	losses  scratch   // Head's loss of each row
}

var _ engine.Engine = (*Engine)(nil)

// Open builds the engine. It fails if the named library is not there or the precision is unknown.
func Open(o engine.Options) (*Engine, error) {
	if o.Precision != "" && o.Precision != "fp32" {
		return nil, fmt.Errorf("cpu engine: precision %q: only fp32 is there", o.Precision)
	}
	if o.Threads < 0 {
		return nil, fmt.Errorf("cpu engine: %d threads: want 1 or more, or 0 for one", o.Threads)
	}
	mul, lib, err := blas.Open(o.Library)
	if err != nil {
		return nil, fmt.Errorf("cpu engine: %w", err)
	}
	threads := max(o.Threads, 1)
	set := kernels.Best()
	e := &Engine{team: team(threads), mul: multiplierOf(mul), k: set, ropes: map[ropeKey]ropeTable{}, scratch: make([]scratch, threads)}
	what := fmt.Sprintf("%s %s fp32, %s kernels", lib.Title, lib.Version, set.Name)
	e.name = fmt.Sprintf("cpu: %s, %s", what, plural(threads, "thread"))
	e.class = engine.ClassCPU | digest(what)
	return e, nil
}

// Name says which library, which kernels and how many threads.
func (e *Engine) Name() string { return e.name }

// Class depends on the library, its version and the instruction set.
func (e *Engine) Class() uint16 { return e.class }

// Close releases the memory. Libraries stay loaded: they cannot be unloaded safely.
func (e *Engine) Close() error {
	e.Release()
	e.scratch, e.panel, e.heads, e.losses = nil, scratch{}, scratch{}, scratch{}
	return nil
}

// digest folds a description into the twelve bits that a class leaves to the engine.
func digest(what string) uint16 {
	h := fnv.New32a()
	h.Write([]byte(what))
	s := h.Sum32()
	return uint16(s^s>>12^s>>24) & 0x0fff
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func f32(b engine.Buf) []float32 { return hostmem.Float32(b) }
func i32(b engine.Buf) []int32   { return hostmem.Int32(b) }
