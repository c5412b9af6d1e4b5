package ops

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/reference"
	"github.com/skein-train/skein/trainer/internal/plain"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// bench is a graph under test: ids → embedding → the op in question → a head with the loss, because a gradient needs a scalar.
type bench struct {
	*testing.T
	*Builder
	e       engine.Engine
	pass    Pass
	ids     *gorgonia.Node
	targets *gorgonia.Node
	loss    engine.Buf
	params  []*Param
	vm      gorgonia.VM
}

var (
	benchIDs     = []int32{3, 1, 4, 1, 0, 2}
	benchTargets = []int32{0, 2, 1, 3, 3, 1}
)

const benchVocab = 5

func newBench(t *testing.T) *bench {
	e := reference.New()
	t.Cleanup(func() { _ = e.Close() })
	b := &bench{T: t, e: e, loss: engine.Scalars(e, 1)}
	b.pass.Scale = 1
	b.Builder = NewBuilder(e, &b.pass, 0)
	b.ids = b.int32s("ids", benchIDs)
	b.targets = b.int32s("targets", benchTargets)
	return b
}

func (b *bench) int32s(name string, v []int32) *gorgonia.Node {
	buf := b.e.Alloc(len(v))
	b.e.UploadInt32(buf, v)
	return b.Input(name, tensor.Int32, buf, len(v))
}

// param is a parameter with random contents and a gradient that holds garbage, which the first pass must overwrite.
func (b *bench) param(name string, shape ...int) *Param {
	n := tensor.Shape(shape).TotalSize()
	data, grad := b.e.Alloc(n), b.e.Alloc(n)
	r := rand.New(rand.NewPCG(uint64(len(b.params)), 1))
	v, junk := make([]float32, n), make([]float32, n)
	for i := range v {
		v[i], junk[i] = float32(r.NormFloat64()), 1e6
	}
	b.e.Upload(data, v)
	b.e.Upload(grad, junk)
	p := b.Param(name, data, grad, shape...)
	b.params = append(b.params, p)
	return p
}

func (b *bench) wide(p *Param) []float64 {
	out := make([]float64, ValueOf(p.Node).Size())
	for i, x := range b.e.Host(ValueOf(p.Node).Buf()) {
		out[i] = float64(x)
	}
	return out
}

// compile adds the head, places every value in memory of its own and readies the machine.
func (b *bench) compile(x *gorgonia.Node) {
	b.Helper()
	b.close(x, b.param("head", benchVocab, x.Shape()[1]))
}

func (b *bench) close(x *gorgonia.Node, head *Param) {
	b.Helper()
	loss := b.Head(x, head, b.targets, b.loss, 0)
	if err := b.Gradients(loss, b.params); err != nil {
		b.Fatal(err)
	}
	if err := b.Check(); err != nil {
		b.Fatal(err)
	}
	turns, err := b.Order()
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range turns {
		for _, v := range append(t.Side, t.Out) {
			if !v.Fixed() && v.Buf().Len == 0 {
				v.Place(b.e.Alloc(v.Words()), 0)
			}
		}
	}
	b.vm = gorgonia.NewTapeMachine(b.Graph())
}

func (b *bench) run() float64 {
	b.Helper()
	b.pass.Start()
	if err := b.vm.RunAll(); err != nil {
		b.Fatal(err)
	}
	b.vm.Reset()
	var loss [1]float64
	b.e.Get(loss[:], b.loss)
	return loss[0]
}

// check compares loss and gradients with those of f, a float64 model of the parameters in the order they were made, under
// a head of the last one.
func (b *bench) check(f func(p [][]float64) plain.Mat) {
	b.Helper()
	b.checkLogits(func(p [][]float64) plain.Mat {
		x := f(p)
		return plain.Linear(x, mat(p[len(p)-1], benchVocab, x.Cols))
	})
}

func (b *bench) checkLogits(f func(p [][]float64) plain.Mat) {
	b.Helper()
	var all []float64
	for _, p := range b.params {
		all = append(all, b.wide(p)...)
	}
	model := func(x []float64) float64 {
		var parts [][]float64
		for _, p := range b.params {
			n := ValueOf(p.Node).Size()
			parts, x = append(parts, x[:n]), x[n:]
		}
		return plain.CrossEntropy(f(parts), benchTargets)
	}
	if got, want := b.run(), model(all); math.Abs(got-want) > 1e-6*(1+want) {
		b.Errorf("loss %.8f, want %.8f", got, want)
	}
	off := 0
	for k, p := range b.params {
		grad := b.e.Host(p.grad.buf)
		for i, g := range grad {
			d := make([]float64, len(all))
			d[off+i] = 1
			if want := plain.Slope(model, all, d); math.Abs(float64(g)-want) > 2e-6*(1+math.Abs(want)) {
				b.Errorf("parameter %d: gradient %d is %.8f, want %.8f", k, i, g, want)
			}
		}
		off += len(grad)
	}
}

func TestEmbed(t *testing.T) {
	b := newBench(t)
	b.compile(b.Embed(b.param("table", benchVocab, 4), b.ids))
	b.check(func(p [][]float64) plain.Mat { return plain.Embed(mat(p[0], benchVocab, 4), benchIDs) })
}

func TestLinear(t *testing.T) {
	b := newBench(t)
	b.compile(b.Linear(b.Embed(b.param("table", benchVocab, 3), b.ids), b.param("w", 4, 3)))
	b.check(func(p [][]float64) plain.Mat {
		return plain.Linear(plain.Embed(mat(p[0], benchVocab, 3), benchIDs), mat(p[1], 4, 3))
	})
}

func TestRMSNorm(t *testing.T) {
	b := newBench(t)
	y, _ := b.RMSNorm(b.Embed(b.param("table", benchVocab, 4), b.ids), b.param("w", 4), 1e-5)
	b.compile(y)
	b.check(func(p [][]float64) plain.Mat {
		return plain.RMSNorm(plain.Embed(mat(p[0], benchVocab, 4), benchIDs), p[1], 1e-5)
	})
}

func TestResidualConnection(t *testing.T) {
	b := newBench(t)
	x := b.Embed(b.param("table", benchVocab, 4), b.ids)
	for _, name := range []string{"first", "second"} {
		y, skip := b.RMSNorm(x, b.param(name+".norm", 4), 1e-5)
		x = skip.Add(b.Linear(y, b.param(name+".w", 4, 4)))
	}
	b.compile(x)
	b.check(func(p [][]float64) plain.Mat {
		x := plain.Embed(mat(p[0], benchVocab, 4), benchIDs)
		for i := 1; i < 5; i += 2 {
			x = plain.Add(x, plain.Linear(plain.RMSNorm(x, p[i], 1e-5), mat(p[i+1], 4, 4)))
		}
		return x
	})
}

func TestSwiGLU(t *testing.T) {
	b := newBench(t)
	b.compile(b.SwiGLU(b.Embed(b.param("table", benchVocab, 8), b.ids)))
	b.check(func(p [][]float64) plain.Mat { return plain.SwiGLU(plain.Embed(mat(p[0], benchVocab, 8), benchIDs)) })
}

func TestAttendWithGroupedQueries(t *testing.T) {
	b := newBench(t)
	a := engine.Attention{Batch: 2, Time: 3, Heads: 4, KVHeads: 2, HeadDim: 2, RopeBase: 10000}
	b.compile(b.Attend(b.Embed(b.param("table", benchVocab, 16), b.ids), a))
	b.check(func(p [][]float64) plain.Mat {
		return plain.Attend(plain.Embed(mat(p[0], benchVocab, 16), benchIDs), 2, 3, 4, 2, 2, 10000)
	})
}

func TestHeadNorm(t *testing.T) {
	b := newBench(t)
	a := engine.Attention{Batch: 2, Time: 3, Heads: 2, KVHeads: 1, HeadDim: 4, RopeBase: 10000}
	b.compile(b.HeadNorm(b.Embed(b.param("table", benchVocab, 16), b.ids), b.param("w", 2, 4), a, 1e-5))
	b.check(func(p [][]float64) plain.Mat {
		return plain.HeadNorm(plain.Embed(mat(p[0], benchVocab, 16), benchIDs), p[1][:4], p[1][4:], 2, 1, 1e-5)
	})
}

// Two blocks that are computed a second time on the way back give the bits of blocks that are kept, in one accumulated pass more.
func TestBlocksComputedAgainGiveTheSameBits(t *testing.T) {
	gradients := func(recompute bool) (grads [][]float32, ops int) {
		b := newBench(t)
		a := engine.Attention{Batch: 2, Time: 3, Heads: 2, KVHeads: 1, HeadDim: 2, RopeBase: 10000}
		x := b.Embed(b.param("table", benchVocab, 4), b.ids)
		for _, name := range []string{"first", "second"} {
			block := func(f func()) { f() }
			if recompute {
				block = b.Block
			}
			block(func() {
				h, skip := b.RMSNorm(x, b.param(name+".norm", 4), 1e-5)
				qkv := b.HeadNorm(b.Linear(h, b.param(name+".qkv", 8, 4)), b.param(name+".headnorm", 2, 2), a, 1e-5)
				x = skip.Add(b.ToStream(b.Attend(qkv, a), b.param(name+".o", 4, 4)))
				h, skip = b.RMSNorm(x, b.param(name+".post", 4), 1e-5)
				x = skip.Add(b.ToStream(b.SwiGLU(b.Linear(h, b.param(name+".gu", 6, 4))), b.param(name+".down", 4, 3)))
			})
		}
		b.compile(x)
		b.run()
		b.pass.Accumulate = true
		b.run()
		for _, p := range b.params {
			grads = append(grads, slices.Clone(b.e.Host(p.grad.buf)))
		}
		return grads, b.Builder.ids
	}
	kept, few := gradients(false)
	again, many := gradients(true)
	if many != few+2*9 { // norm, qkv, head norm, attention, o, residual, norm, gate and up, gate: without the last product
		t.Errorf("%d ops where nothing is computed again, %d otherwise", few, many)
	}
	for i := range kept {
		if !slices.Equal(kept[i], again[i]) {
			t.Errorf("parameter %d: gradient %v, computed again %v", i, kept[i], again[i])
		}
	}
}

func TestTiedParameterGetsBothGradients(t *testing.T) {
	b := newBench(t)
	table := b.param("table", benchVocab, 4)
	x := b.Embed(table, b.ids)
	head := b.Tied(table, "head")
	b.params = append(b.params, head)
	b.close(x, head)
	b.params = b.params[:1] // one memory, one gradient
	b.checkLogits(func(p [][]float64) plain.Mat {
		w := mat(p[0], benchVocab, 4)
		return plain.Linear(plain.Embed(w, benchIDs), w)
	})
}

func TestPassAccumulatesAndScales(t *testing.T) {
	b := newBench(t)
	y, _ := b.RMSNorm(b.Embed(b.param("table", benchVocab, 4), b.ids), b.param("norm", 4), 1e-5)
	b.compile(b.Linear(y, b.param("w", 4, 4)))
	b.run()
	var once [][]float32
	for _, p := range b.params {
		once = append(once, append([]float32(nil), b.e.Host(p.grad.buf)...))
	}
	b.pass.Accumulate, b.pass.Scale = true, 2
	b.run()
	for k, p := range b.params {
		for i, g := range b.e.Host(p.grad.buf) {
			if math.Abs(float64(g-3*once[k][i])) > 1e-6 {
				t.Errorf("parameter %d: gradient %d is %g after a second pass at twice the scale, want 3 × %g", k, i, g, once[k][i])
			}
		}
	}
}

func TestLastRowGoesToTheOutput(t *testing.T) {
	e := reference.New()
	defer e.Close()
	var pass Pass
	b := NewBuilder(e, &pass, 0)
	x, y := e.Alloc(6), e.Alloc(2)
	e.Upload(x, []float32{1, 2, 3, 4, 5, 6})
	row := b.LastRow(b.Input("x", tensor.Float32, x, 3, 2))
	b.Output(row, y)
	if _, err := b.Order(); err != nil {
		t.Fatal(err)
	}
	ValueOf(row).Place(e.Alloc(2), 0)
	vm := gorgonia.NewTapeMachine(b.Graph())
	for i := range 3 {
		pass.Row = i
		pass.Start()
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		vm.Reset()
		if got := e.Host(y); got[0] != float32(2*i+1) || got[1] != float32(2*i+2) {
			t.Errorf("row %d is %v", i, got)
		}
	}
	pass.Start()
	pass.next = 1
	if err := vm.RunAll(); err == nil || !strings.Contains(err.Error(), "memory was planned") {
		t.Errorf("an op out of turn: %v", err)
	}
}

func TestHashCollisionsAreFound(t *testing.T) {
	e := reference.New()
	defer e.Close()
	build := func(salt int, names ...string) error {
		b := NewBuilder(e, &Pass{}, salt)
		x := b.Input("x", tensor.Float32, e.Alloc(2), 2)
		for _, name := range names {
			b.apply(&op{name: name, out: float32s(2), over: none}, x)
		}
		return b.Check()
	}
	// Found by search: as the first and the second op of this graph they have one 32-bit hash under salt 0.
	const first, second = "op107731", "op268891"
	if build(0, first, second) == nil {
		t.Error("a collision went unnoticed")
	}
	if err := build(0, "linear", "linear"); err != nil {
		t.Errorf("no collision, but %v", err)
	}
	if err := build(1, first, second); err != nil {
		t.Errorf("another salt does not help: %v", err)
	}
}

func TestInputsNeedNamesOfTheirOwn(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("two inputs of one name were merged in silence")
		}
	}()
	e := reference.New()
	defer e.Close()
	b := NewBuilder(e, &Pass{}, 0)
	b.Input("x", tensor.Float32, e.Alloc(2), 2)
	b.Input("x", tensor.Float32, e.Alloc(2), 2)
}

func TestValuesKeepTheirContentsToThemselves(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Data gave something away")
		}
	}()
	float32s(2).Data()
}

func mat(x []float64, rows, cols int) plain.Mat { return plain.Mat{Rows: rows, Cols: cols, X: x} }
