//go:build linux || darwin

package blas

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// dnn is oneDNN's matmul primitive for one worker. Scratch memory is ours, as the library's own belongs to a thread and
// goroutines have none.
//
// C gets to see addresses within this struct and of what it points to: all on Go's heap, which does not move.
type dnn struct {
	lib            library
	api            dnnAPI
	engine, stream uintptr
	execute, set   uintptr // functions that every product calls

	plans   map[Product]*plan
	layouts map[[2]int]uintptr // of packed right factors, by N and K
	packers map[packer]*plan

	out     uintptr // where C puts a handle
	dims    [2]int64
	strides [2]int64
}

// plan is a compiled primitive with its arguments, whose memory is set before each run.
type plan struct {
	primitive uintptr
	args      []dnnArg
	scratch   int // bytes
}

type dnnArg struct {
	index  int32
	_      int32
	memory uintptr
}

// packer is what a primitive that packs depends on.
type packer struct {
	n, k, stride int
	trans        bool
}

// dnnAPI is what differs between the versions: how memory and products are described. Results are handles or addresses.
type dnnAPI interface {
	strided(d *dnn, rows, cols int, kind uintptr, row, col int) uintptr
	any(d *dnn, rows, cols int) uintptr // of bfloat16, as the library likes it best
	matmul(d *dnn, a, b, c, attributes uintptr) uintptr
	addToResult(d *dnn, postOps uintptr)
}

func newDNN(lib library, version string) (d *dnn, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("%v", x)
		}
	}()
	d = &dnn{lib: lib, api: dnn3{}, plans: map[Product]*plan{}, layouts: map[[2]int]uintptr{}, packers: map[packer]*plan{}}
	if strings.HasPrefix(version, "2.") {
		d.api = &dnn2{}
	}
	d.engine = d.make("dnnl_engine_create", 1, 0) // the CPU, the first of them
	d.stream = d.make("dnnl_stream_create", d.engine, 1)
	d.execute, d.set = d.function("dnnl_primitive_execute"), d.function("dnnl_memory_set_data_handle")
	return d, nil
}

// Scratch implements Half.
func (d *dnn) Scratch(p Product) int { return d.plan(p).scratch }

// Multiply implements Half.
func (d *dnn) Multiply(p Product, a, b, c, scratch unsafe.Pointer) {
	d.run(d.plan(p), a, b, c, scratch)
}

// PackedLen implements Half.
func (d *dnn) PackedLen(n, k int) int { return d.size(d.layout(n, k)) }

// Pack implements Half.
func (d *dnn) Pack(to unsafe.Pointer, b Matrix, n, k int) {
	key := packer{n, k, b.Stride, b.Trans}
	p := d.packers[key]
	if p == nil {
		from := d.matrix(k, n, dnnF32, b.Stride, b.Trans)
		desc := d.make("dnnl_reorder_primitive_desc_create", from, d.engine, d.layout(n, k), d.engine, 0)
		p = d.compile(desc, dnnArg{index: dnnArgSrc, memory: from}, dnnArg{index: dnnArgDst, memory: d.layout(n, k)})
		d.packers[key] = p
	}
	d.run(p, unsafe.Pointer(b.Data), to)
}

func (d *dnn) plan(p Product) *plan {
	if known := d.plans[p]; known != nil {
		return known
	}
	a, b := d.matrix(p.M, p.K, dnnBF16, p.StrideA, p.TransA), uintptr(0)
	if p.Packed {
		b = d.layout(p.N, p.K)
	} else {
		b = d.matrix(p.K, p.N, dnnBF16, p.StrideB, p.TransB)
	}
	kind := uintptr(dnnBF16)
	if p.WideC {
		kind = dnnF32
	}
	c := d.matrix(p.M, p.N, kind, p.StrideC, false)
	desc := d.api.matmul(d, a, b, c, d.attributes(p.Accumulate))
	made := d.compile(desc, dnnArg{index: dnnArgSrc, memory: a}, dnnArg{index: dnnArgWeights, memory: b}, dnnArg{index: dnnArgDst, memory: c})
	scratch := d.query(desc, dnnScratch)
	made.scratch = d.size(scratch)
	if made.scratch > 0 {
		made.args = append(made.args, dnnArg{index: dnnArgScratch, memory: d.make("dnnl_memory_create", scratch, d.engine, 0)})
	}
	d.plans[p] = made
	return made
}

// layout is how the library likes a right factor [k, n] best. It is asked for a tall product and used for all.
func (d *dnn) layout(n, k int) uintptr {
	const tall = 256
	key := [2]int{n, k}
	l, ok := d.layouts[key]
	if !ok {
		a, c := d.matrix(tall, k, dnnBF16, k, false), d.matrix(tall, n, dnnF32, n, false)
		l = d.query(d.api.matmul(d, a, d.api.any(d, k, n), c, d.attributes(false)), dnnWeights)
		d.layouts[key] = l
	}
	return l
}

// attributes say that scratch memory is ours, and that C is added to.
func (d *dnn) attributes(accumulate bool) uintptr {
	a := d.make("dnnl_primitive_attr_create")
	d.call("dnnl_primitive_attr_set_scratchpad_mode", a, dnnUserScratch)
	if accumulate {
		ops := d.make("dnnl_post_ops_create")
		d.api.addToResult(d, ops)
		d.call("dnnl_primitive_attr_set_post_ops", a, ops)
	}
	return a
}

// compile makes the primitive of a description; args come with descriptions of their memory.
func (d *dnn) compile(desc uintptr, args ...dnnArg) *plan {
	p := &plan{primitive: d.make("dnnl_primitive_create", desc), args: args}
	for i, a := range args {
		p.args[i].memory = d.make("dnnl_memory_create", a.memory, d.engine, 0)
	}
	return p
}

// run executes a plan; one without scratch memory ignores it.
func (d *dnn) run(p *plan, memory ...unsafe.Pointer) {
	for i, a := range p.args {
		purego.SyscallN(d.set, a.memory, uintptr(memory[i]))
	}
	if status, _, _ := purego.SyscallN(d.execute, p.primitive, d.stream, uintptr(len(p.args)), addr(&p.args[0])); int32(status) != 0 {
		panic(fmt.Sprintf("oneDNN: dnnl_primitive_execute: status %d", int32(status)))
	}
}

// matrix describes op(X) [rows, cols].
func (d *dnn) matrix(rows, cols int, kind uintptr, stride int, trans bool) uintptr {
	if trans {
		return d.api.strided(d, rows, cols, kind, 1, stride)
	}
	return d.api.strided(d, rows, cols, kind, stride, 1)
}

func (d *dnn) query(desc uintptr, what uintptr) uintptr {
	r, _, _ := purego.SyscallN(d.function("dnnl_primitive_desc_query_md"), desc, what, 0)
	return r
}

func (d *dnn) size(memory uintptr) int {
	r, _, _ := purego.SyscallN(d.function("dnnl_memory_desc_get_size"), memory)
	return int(r)
}

func (d *dnn) function(name string) uintptr {
	p := d.lib.symbol(name)
	if p == 0 {
		panic("oneDNN has no " + name)
	}
	return p
}

// call calls a function that returns a status.
func (d *dnn) call(name string, args ...uintptr) {
	if status, _, _ := purego.SyscallN(d.function(name), args...); int32(status) != 0 {
		panic(fmt.Sprintf("oneDNN: %s: status %d", name, int32(status)))
	}
}

// make calls a function whose first argument is where to put the handle of what it makes.
func (d *dnn) make(name string, args ...uintptr) uintptr {
	d.call(name, append([]uintptr{addr(&d.out)}, args...)...)
	return d.out
}

// shape puts two dimensions where C can read them.
func (d *dnn) shape(rows, cols int) uintptr {
	d.dims = [2]int64{int64(rows), int64(cols)}
	return addr(&d.dims)
}

func (d *dnn) steps(row, col int) uintptr {
	d.strides = [2]int64{int64(row), int64(col)}
	return addr(&d.strides)
}

// dnn2 is version 2: descriptions are structs that the caller owns.
type dnn2 struct{ keep [][]byte }

// The sizes of dnnl_memory_desc_t and dnnl_matmul_desc_t (four of the former and two words), in bytes.
const (
	dnn2Memory = 696
	dnn2Matmul = 4*dnn2Memory + 16
)

func (v *dnn2) room(size int) uintptr {
	b := make([]byte, size)
	v.keep = append(v.keep, b)
	return addr(&b[0])
}

func (v *dnn2) strided(d *dnn, rows, cols int, kind uintptr, row, col int) uintptr {
	m := v.room(dnn2Memory)
	d.call("dnnl_memory_desc_init_by_strides", m, 2, d.shape(rows, cols), kind, d.steps(row, col))
	return m
}

func (v *dnn2) any(d *dnn, rows, cols int) uintptr {
	m := v.room(dnn2Memory)
	d.call("dnnl_memory_desc_init_by_tag", m, 2, d.shape(rows, cols), dnnBF16, dnnAnyLayout)
	return m
}

func (v *dnn2) matmul(d *dnn, a, b, c, attributes uintptr) uintptr {
	m := v.room(dnn2Matmul)
	d.call("dnnl_matmul_desc_init", m, a, b, 0, c)
	return d.make("dnnl_primitive_desc_create", m, attributes, d.engine, 0)
}

func (*dnn2) addToResult(d *dnn, postOps uintptr) {
	var call func(postOps uintptr, scale float32) int32
	purego.RegisterFunc(&call, d.function("dnnl_post_ops_append_sum"))
	if status := call(postOps, 1); status != 0 {
		panic(fmt.Sprintf("oneDNN: dnnl_post_ops_append_sum: status %d", status))
	}
}

// dnn3 is version 3: descriptions are handles.
type dnn3 struct{}

func (dnn3) strided(d *dnn, rows, cols int, kind uintptr, row, col int) uintptr {
	return d.make("dnnl_memory_desc_create_with_strides", 2, d.shape(rows, cols), kind, d.steps(row, col))
}

func (dnn3) any(d *dnn, rows, cols int) uintptr {
	return d.make("dnnl_memory_desc_create_with_tag", 2, d.shape(rows, cols), dnnBF16, dnnAnyLayout)
}

func (dnn3) matmul(d *dnn, a, b, c, attributes uintptr) uintptr {
	return d.make("dnnl_matmul_primitive_desc_create", d.engine, a, b, 0, c, attributes)
}

func (dnn3) addToResult(d *dnn, postOps uintptr) {
	var call func(postOps uintptr, scale float32, zero int32, kind uint32) int32
	purego.RegisterFunc(&call, d.function("dnnl_post_ops_append_sum"))
	if status := call(postOps, 1, 0, dnnF32); status != 0 {
		panic(fmt.Sprintf("oneDNN: dnnl_post_ops_append_sum: status %d", status))
	}
}
