package cuda

import (
	"fmt"
	"math"
	"regexp"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
	"github.com/skein-train/skein/trainer/engine/cuda/kernels"
)

// kernel is a function of a module, with the types of its parameters as its PTX declares them.
type kernel struct {
	driver.Function
	params []kind
	shared int // bytes of dynamic shared memory that launches were allowed so far
}

// kind is a type of kernels' parameters.
type kind string

const (
	isAddress kind = "u64" // also int64
	isInt     kind = "u32"
	isFloat   kind = "f32"
	isDouble  kind = "f64"
)

var (
	entryPattern = regexp.MustCompile(`\.entry (\w+)\(([^)]*)\)`)
	paramPattern = regexp.MustCompile(`\.param \.(\w+)`)
)

// load compiles a module and finds its kernels.
func (e *Engine) load(m kernels.Module) error {
	module, err := e.context.Load(m.PTX)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	e.modules = append(e.modules, module)
	for _, entry := range entryPattern.FindAllSubmatch(m.PTX, -1) {
		name := string(entry[1])
		f, err := module.Function(name)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		const always = 48 << 10 // bytes, without asking
		k := &kernel{Function: f, shared: always}
		for _, p := range paramPattern.FindAllSubmatch(entry[2], -1) {
			k.params = append(k.params, kind(p[1]))
		}
		e.kernels[name] = k
	}
	return nil
}

// arg is an argument of a kernel.
type arg struct {
	bits uint64
	kind kind
}

// at is the address of a buffer; of an empty one it is null.
func at(b engine.Buf) arg { return arg{uint64(b.Addr), isAddress} }

func i64(n int) arg     { return arg{uint64(n), isAddress} }
func i32(n int) arg     { return arg{uint64(uint32(int32(n))), isInt} }
func f32(x float32) arg { return arg{uint64(math.Float32bits(x)), isFloat} }
func f64(x float64) arg { return arg{math.Float64bits(x), isDouble} }

// shape is how a kernel finds the elements of its operands; see kernels/operand.h.
type shape struct {
	arg
	width int // elements that a thread reads at a time, 1 or 4
}

// shapeOf tells which operands are BF16, bit i for the i-th, and whether rows of n elements can be read four at a time. others
// are F32 and read alike.
func shapeOf(n int, operands []engine.Buf, others ...engine.Buf) shape {
	const quads = 1 << 30
	types, apart := 0, n%4
	for i, b := range operands {
		if b.Type == engine.BF16 {
			types |= 1 << i
		}
		apart |= int(b.Addr) % (4 * b.Type.Words(4))
	}
	for _, b := range others {
		apart |= int(b.Addr) % 16
	}
	if apart != 0 {
		return shape{i32(types), 1}
	}
	return shape{i32(types | quads), 4}
}

func operands(b ...engine.Buf) []engine.Buf { return b }

// launch queues a kernel: grid blocks of threads threads, with shared bytes of dynamic shared memory. After a failure, and for no
// blocks, it does nothing. Arguments are in the order of the kernel's parameters; one that is missing or of another type is a failure, too.
func (e *Engine) launch(name string, grid driver.Dim, threads, shared int, args ...arg) {
	if e.err != nil || grid.X == 0 {
		return
	}
	k := e.kernels[name]
	if k == nil {
		e.fail(fmt.Errorf("there is no kernel %s", name))
		return
	}
	if len(args) != len(k.params) {
		e.fail(fmt.Errorf("kernel %s takes %d arguments and was given %d", name, len(k.params), len(args)))
		return
	}
	for i, a := range args {
		if a.kind != k.params[i] {
			e.fail(fmt.Errorf("kernel %s: argument %d is of type %s, given %s", name, i, k.params[i], a.kind))
			return
		}
		e.args.Set(i, a.bits)
	}
	if shared > k.shared {
		if err := k.AllowShared(shared); err != nil {
			e.fail(fmt.Errorf("kernel %s with %d bytes of shared memory: %w", name, shared, err))
			return
		}
		k.shared = shared
	}
	e.stats.Launches++
	if err := e.stream.Launch(k.Function, grid, threads, shared, e.args); err != nil {
		e.fail(fmt.Errorf("kernel %s: %w", name, err))
	}
}

// blocks is a grid of n blocks.
func blocks(n int) driver.Dim { return driver.Dim{X: n, Y: 1, Z: 1} }

func ceil(n, d int) int { return (n + d - 1) / d }
