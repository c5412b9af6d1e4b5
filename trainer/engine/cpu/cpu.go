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
	team    team
	compute engine.Type
	mul     multiplier
	layers  layers
	k       kernels.Set

	name  string
	class uint16

	ropes   map[ropeKey]ropeTable
	right   scratch   // the packed factor of a product, which all workers read
	sums    scratch   // what tasks add up apart
	squares []float64 // the same for SumSquares

	head             engine.Weight // Head's, where it came without a form
	logits, narrowed scratch       // a block of Head's rows, as F32 and as BF16
	losses           scratch       // of all its rows
}

var _ engine.Engine = (*Engine)(nil)

// Open builds the engine. It fails if the named library is not there or the precision is unknown.
func Open(o engine.Options) (*Engine, error) {
	if o.Threads < 0 {
		return nil, fmt.Errorf("cpu engine: %d threads: want 1 or more, or 0 for one", o.Threads)
	}
	threads := max(o.Threads, 1)
	e := &Engine{team: make(team, threads), k: kernels.Best(), ropes: map[ropeKey]ropeTable{}}
	what, err := e.choose(o)
	if err != nil {
		return nil, fmt.Errorf("cpu engine: %w", err)
	}
	what += ", " + e.k.Name + " kernels"
	e.name = fmt.Sprintf("cpu: %s, %s", what, plural(threads, "thread"))
	e.class = engine.ClassCPU | digest(what)
	return e, nil
}

// choose sets how products are computed and describes it.
func (e *Engine) choose(o engine.Options) (what string, err error) {
	name := o.Library
	switch o.Precision {
	case "", "fp32":
	case "bf16":
		e.compute = engine.BF16
		if name == "" && kernels.Best().Tiles.Cols > 4 {
			name = "builtin"
		}
	default:
		return "", fmt.Errorf("precision %q: know fp32 and bf16", o.Precision)
	}
	mul, lib, err := blas.Open(name)
	if err != nil {
		return "", err
	}
	e.mul, e.layers = multiplierOf(mul), inFP32{e, e.compute == engine.BF16}
	return fmt.Sprintf("%s %s %v", lib.Title, lib.Version, e.compute), nil
}

// Compute: see engine.Engine.
func (e *Engine) Compute() engine.Type { return e.compute }

// Name says which library, which kernels and how many threads.
func (e *Engine) Name() string { return e.name }

// Class depends on the library, its version and the instruction set.
func (e *Engine) Class() uint16 { return e.class }

// Close releases the memory. Libraries stay loaded: they cannot be unloaded safely.
func (e *Engine) Close() error {
	e.Release()
	*e = Engine{name: e.name, class: e.class, compute: e.compute}
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
