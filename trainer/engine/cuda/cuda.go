// Package cuda is the engine for NVIDIA's GPUs from compute capability 8.0 on: kernels in CUDA C (see kernels), which the
// driver compiles for the GPU at hand, found and called at run time (see driver).
//
// Products read bfloat16 on tensor cores and sum in F32. No kernel adds floats atomically, so the same inputs give the
// same bits on GPUs of one capability, or of one kind where cuBLASLt makes the products. Calls queue work on one stream and
// return; Download and Get wait for it.
package cuda

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/cublaslt"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
	"github.com/skein-train/skein/trainer/engine/cuda/kernels"
)

// floor is the oldest capability that the kernels run on: the first with products of bfloat16.
func floor() driver.Capability { return driver.Capability{Major: 8, Minor: 0} }

// ErrOldDevice is wrapped where a GPU is older than the kernels.
var ErrOldDevice = errors.New("the GPU is too old")

// Engine is the CUDA engine.
type Engine struct {
	context   *driver.Context
	stream    *driver.Stream
	modules   []*driver.Module
	kernels   map[string]*kernel
	args      *driver.Args
	arena     arena
	pages     pages
	ranges    []ranges
	graphs    []*driver.Graph // that Record made
	recording bool            // what is called now is taken down
	clock     clock           // of replays
	slots     slots
	library   *cublaslt.Handle // nil: products are our own
	ropes     map[ropeKey]ropeTable

	mostLogits int // that exist at once; headLogits but in tests

	name  string
	class uint16
	err   error // the first failure
	stats Stats
}

// Stats counts what an engine did.
type Stats struct {
	Launches int // that the device was given one by one: kernels, copies within its memory, clearing
	Replays  int // of what Record took down
	// Fallbacks are operands in bfloat16 that products and attention could not read where they lay, and that were copied first:
	// none where a model's sizes are multiples of 8.
	Fallbacks int
	// Products are those that cuBLASLt made, one by one. Refused are those that it could not make, because of a matrix that does not lie at a
	// multiple of 16 bytes or for want of an algorithm: our own kernels made them. There are none where a model's sizes are multiples of 8.
	Products, Refused int
}

var (
	_ engine.Engine   = (*Engine)(nil)
	_ engine.Fallible = (*Engine)(nil)
	_ engine.Recorder = (*Engine)(nil)
	_ engine.Apart    = (*Engine)(nil)
	_ engine.Waiter   = (*Engine)(nil)
)

// Precision is what engines of this kind compute in; see engine.Options.
const Precision = "bf16"

// Open opens the GPU that Find finds. The error says in one sentence what is missing.
func Open(o engine.Options) (*Engine, error) {
	e, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("cuda engine: %w", err)
	}
	return e, nil
}

func open(o engine.Options) (*Engine, error) {
	if o.Precision != Precision {
		return nil, fmt.Errorf("precision %q: products run on tensor cores in bfloat16; choose train.precision=bf16, or train.engine=cpu for fp32", o.Precision)
	}
	dev, err := Find(o)
	if err != nil {
		return nil, err
	}
	e := &Engine{kernels: map[string]*kernel{}, args: driver.NewArgs(), ropes: map[ropeKey]ropeTable{}, mostLogits: headLogits}
	if e.context, err = dev.Open(); err != nil {
		return nil, err
	}
	if err := e.prepare(o); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// Find is the GPU that Open would open: number N where the kind is "cuda:N", else one of those that Check lets pass, which are
// dealt out to the workers.
func Find(o engine.Options) (driver.Device, error) {
	_, name, numbered := strings.Cut(o.Kind, ":")
	number, err := strconv.Atoi(name)
	if numbered && (err != nil || number < 0) {
		return driver.Device{}, fmt.Errorf("%q names no GPU: want cuda, or cuda:N with N from 0 on", o.Kind)
	}
	d, err := driver.Open(o.Driver)
	if err != nil {
		return driver.Device{}, err
	}
	all, err := d.Devices()
	if err != nil {
		return driver.Device{}, err
	}
	if numbered {
		if number >= len(all) {
			return driver.Device{}, fmt.Errorf("there is no GPU %d: the driver sees %d, counted from 0", number, len(all))
		}
		return all[number], Check(all[number])
	}
	good := slices.DeleteFunc(slices.Clone(all), func(dev driver.Device) bool { return Check(dev) != nil })
	if len(good) == 0 {
		return driver.Device{}, Check(all[0])
	}
	return good[o.Worker%len(good)], nil
}

// Check says whether the engine runs on a GPU. The error wraps ErrOldDevice.
func Check(dev driver.Device) error {
	if dev.Capability.Below(floor()) {
		return fmt.Errorf("%w: %s has compute capability %v, at least %v is needed (A100, RTX 30 and newer); train.engine=cpu works everywhere",
			ErrOldDevice, dev.Name, dev.Capability, floor())
	}
	return nil
}

// prepare makes what the engine keeps in its context.
func (e *Engine) prepare(o engine.Options) (err error) {
	e.arena.context = e.context
	if e.stream, err = e.context.NewStream(); err != nil {
		return err
	}
	if err := e.pages.open(e.context); err != nil {
		return err
	}
	all, err := kernels.Modules()
	if err != nil {
		return err
	}
	dev, code := e.context.Device, fnv.New32a()
	for _, m := range all {
		if err := e.load(m); err != nil {
			return err
		}
		code.Write(m.PTX)
	}
	products, err := e.chooseProducts(o)
	if err != nil {
		return err
	}
	e.name = fmt.Sprintf("cuda: GPU %d %s (%v) bf16, %s", dev.Index, dev.Name, dev.Capability, products)
	fmt.Fprint(code, dev.Capability)
	if e.library != nil { // whose choice of algorithms depends on the number of processors
		fmt.Fprint(code, products, dev.Processors)
	}
	s := code.Sum32()
	e.class = engine.ClassCUDA | uint16(s^s>>12^s>>24)&0x0fff
	return nil
}

// Name says which GPU, and whose products.
func (e *Engine) Name() string { return e.name }

// Class depends on the kernels and on the GPU's capability; with cuBLASLt also on its version and the GPU's number of processors.
func (e *Engine) Class() uint16 { return e.class }

// Compute is BF16.
func (*Engine) Compute() engine.Type { return engine.BF16 }

// Stats counts what was done so far.
func (e *Engine) Stats() Stats { return e.stats }

// copied counts an operand that is copied on its way to tensor cores. One in F32 has to be: it is rounded.
func (e *Engine) copied(b engine.Buf) {
	if b.Type == engine.BF16 {
		e.stats.Fallbacks++
	}
}

// Err is the first failure.
func (e *Engine) Err() error { return e.err }

// fail keeps the first failure; a nil err is none.
func (e *Engine) fail(err error) {
	if err != nil && e.err == nil {
		e.err = fmt.Errorf("%s: %w", e.name, err)
	}
}

// Close waits for what is queued and gives everything back. It returns Err, or what failed only now.
func (e *Engine) Close() error {
	if e.context == nil {
		return nil
	}
	var errs []error
	if e.stream != nil {
		errs = append(errs, e.stream.Wait(), e.stream.Close())
	}
	for _, g := range e.graphs {
		errs = append(errs, g.Close())
	}
	if e.library != nil {
		errs = append(errs, e.library.Close())
	}
	for _, m := range e.modules {
		errs = append(errs, m.Close())
	}
	errs = append(errs, e.clock.close(), e.pages.close(e.context), e.arena.free(), e.context.Close())
	failed := e.err
	*e = Engine{name: e.name, class: e.class, err: errClosed, stats: e.stats}
	if failed != nil { // which all that follows may repeat
		return failed
	}
	return errors.Join(errs...)
}

var errClosed = errors.New("the engine is closed")
