// Package cpu is the engine for ordinary processors: matrix products from a library found at run time, all other
// kernels vectorised (see kernels), and goroutines for parallel work.
//
// Work is cut into tasks that depend on the shapes only, and what tasks add up is added in their order, so results
// are the same bits for any number of threads.
package cpu

import (
	"fmt"
	"hash/fnv"
	"strings"

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
	job     job
	right   scratch   // the packed factor of a product, which all workers read
	sums    scratch   // what tasks add up apart
	squares []float64 // of blocks, see sumSquares

	head             engine.Weight // Head's, where it came without a form
	logits, narrowed scratch       // a block of Head's rows, as F32 and as BF16
	losses           scratch       // of all its rows
	most             int           // elements in a block of its logits
}

var _ engine.Engine = (*Engine)(nil)

// Open builds the engine. It fails if the named library is not there or the precision is unknown.
func Open(o engine.Options) (*Engine, error) {
	if o.Threads < 0 {
		return nil, fmt.Errorf("cpu engine: %d threads: want 1 or more, or 0 for one", o.Threads)
	}
	threads := max(o.Threads, 1)
	e := &Engine{team: make(team, threads), most: headLogits, k: kernels.Best(), ropes: map[ropeKey]ropeTable{}}
	e.job.block, e.job.strip = e.multiplyBlock, e.packStrip
	what, why, err := e.choose(o)
	if err != nil {
		return nil, fmt.Errorf("cpu engine: %w", err)
	}
	e.name = fmt.Sprintf("cpu: %s%s, %s kernels, %s", what, why, e.k.Name, plural(threads, "thread"))
	if o.Remark != "" {
		e.name += " (" + o.Remark + ")"
	}
	e.class = engine.ClassCPU | digest(what+", "+e.k.Name+" kernels")
	return e, nil
}

// choose sets how products are computed, describes it, and says why not faster.
func (e *Engine) choose(o engine.Options) (what, why string, err error) {
	switch o.Precision {
	case "", "fp32":
		l, err := e.inFP32(o.Library, false)
		return titled(l) + " fp32", "", err
	case "bf16":
		return e.chooseBF16(o.Library)
	}
	return "", "", fmt.Errorf("precision %q: know fp32 and bf16", o.Precision)
}

// inFP32 opens the library for products in fp32 arithmetic.
func (e *Engine) inFP32(name string, round bool) (blas.Library, error) {
	m, l, err := blas.Open(name)
	if err == nil {
		e.mul, e.layers = multiplierOf(m), inFP32{e, round}
	}
	return l, err
}

// chooseBF16 takes oneDNN where the processor has products of bf16, unless another library is named. Elsewhere it rounds and
// computes in fp32 arithmetic, with our own tiles rather than with a library: they round on the way.
func (e *Engine) chooseBF16(name string) (what, why string, err error) {
	e.compute = engine.BF16
	unit, why := blas.HalfUnit()
	if unit != "" && (name == "" || name == "onednn") {
		l, err := e.native()
		if err == nil {
			return fmt.Sprintf("%s bf16 (%s)", titled(l), unit), "", nil
		}
		why = fmt.Sprintf("%s would be faster: %v", unit, err)
	}
	if name == "" && len(kernels.Available()) > 1 {
		name = "builtin"
	}
	l, err := e.inFP32(name, true)
	if why != "" {
		why = " (" + why + ")"
	}
	return titled(l) + " bf16 rounded, fp32 arithmetic", why, err
}

// native opens oneDNN's products of bf16, and its fp32 ones for MatMul.
func (e *Engine) native() (blas.Library, error) {
	halves, l, err := blas.OpenHalves(len(e.team))
	if err != nil {
		return l, err
	}
	if _, err := e.inFP32("onednn", true); err != nil {
		return l, err
	}
	for i, h := range halves {
		e.team[i].half = h
	}
	e.layers = newNative(e)
	return l, nil
}

func titled(l blas.Library) string { return strings.TrimSpace(l.Title + " " + l.Version) }

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
