// Package enginetest is the conformance suite of engines: every kernel, values and gradients, against the reference.
//
// A result passes if |got − want| ≤ Eps·(|want| + rms(want)) for every element, rms over the whole output. The first
// term allows for rounding of the element, the second for what cancelled on the way to it. The whole output is held to a relative
// error of MaxError besides.
package enginetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// The tolerances: about 200 units in the last place for engines whose products read float32, and for those that read
// bfloat16, where a product of rounded numbers is off by up to 2^-8 and sums of them by less. A result that is stored as
// bfloat16 is off by 2^-9, or by twice that where two engines round to different neighbours.
const (
	Eps     = 2e-5
	EpsBF16 = 1.6e-2
)

// MaxError is the most that ‖got − want‖ / ‖want‖ of a kernel's output may be, whatever its types.
const MaxError = 1e-2

// Opener returns a fresh engine that uses that many threads. It skips the test if the engine cannot be had.
type Opener func(t *testing.T, threads int) engine.Engine

// Run holds an engine against the reference, against itself, and against itself with two threads. Calls with buffers of
// BF16 are for engines that compute in it.
func Run(t *testing.T, open Opener, eps float64) {
	check(t, open, eps, slices.Concat(products(), others()))
	RunMemory(t, open)
	t.Run("identity", func(t *testing.T) { identity(t, open) })
}

// RunMemory is the part of Run that is not about arithmetic: buffers, and steps that are refused.
func RunMemory(t *testing.T, open Opener) {
	t.Run("memory", func(t *testing.T) { memory(t, open(t, 1)) })
	t.Run("refusals", func(t *testing.T) { refusals(t, open(t, 1)) })
}

// RunProducts is Run for the kernels that multiply matrices: enough for an engine that differs from another in nothing else.
func RunProducts(t *testing.T, open Opener, eps float64) { check(t, open, eps, products()) }

// RunOnly is Run for the kernels whose cases start with one of the names ("rmsnorm/", "linear").
func RunOnly(t *testing.T, open Opener, eps float64, names ...string) {
	check(t, open, eps, slices.DeleteFunc(slices.Concat(products(), others()), func(c kernelCase) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(c.name, name) })
	}))
}

func check(t *testing.T, open Opener, eps float64, cases []kernelCase) {
	one, other, two := bench{Engine: open(t, 1)}, bench{Engine: open(t, 1)}, bench{Engine: open(t, 2)}
	for _, c := range cases {
		if one.Compute() != engine.BF16 && c.narrow() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			got := one.run(t, c, 1)
			compare(t, wanted(t, c), got, eps)
			identical(t, "two engines", got, other.run(t, c, 1))
			identical(t, "the first and the third call", got, one.run(t, c, 3))
			identical(t, "one thread and two", got, two.run(t, c, 1))
		})
	}
	for _, b := range []bench{one, other, two} {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// results is what the reference gave, by the name of the case: it is slow, and the same for all engines.
var results sync.Map

func wanted(t *testing.T, c kernelCase) []array {
	if known, ok := results.Load(c.name); ok {
		return known.([]array)
	}
	b := bench{Engine: reference.New()}
	got := b.run(t, c, 1)
	results.Store(c.name, got)
	if err := b.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	return got
}

// array is one argument of a kernel: filled before the call, and compared after it if it is an output.
type array struct {
	name   string
	data   []float32
	ints   []int32
	kind   engine.Type
	output bool
}

func (a array) len() int { return len(a.data) + len(a.ints) }

// kernelCase is one call: its arguments, and the call itself on their buffers.
type kernelCase struct {
	name string
	args []array
	call func(e engine.Engine, b []engine.Buf)
}

// narrow tells whether the call has a buffer of BF16 that is more than a target of Copy.
func (c kernelCase) narrow() bool {
	return !strings.HasPrefix(c.name, "convert") && slices.ContainsFunc(c.args, func(a array) bool { return a.kind == engine.BF16 })
}

// bench is an engine with memory for the arguments of one case after the other.
type bench struct {
	engine.Engine
	mem engine.Buf
}

// run uploads the arguments, makes the call and returns the outputs. Before each repeated call the arguments are restored.
func (b *bench) run(t *testing.T, c kernelCase, times int) []array {
	t.Helper()
	bufs, host := b.bufs(c.args)
	for range times {
		for i, a := range c.args {
			switch {
			case a.ints != nil:
				b.UploadInt32(bufs[i], a.ints)
			case a.kind == engine.F64:
				b.Set(bufs[i], wide(a.data))
			default:
				b.Upload(host[i], a.data)
				b.Copy(bufs[i], host[i])
			}
		}
		c.call(b.Engine, bufs)
	}
	var out []array
	for i, a := range c.args {
		if a.ints != nil {
			continue
		}
		got := b.read(bufs[i], host[i])
		if !a.output {
			unchanged(t, a, got)
			continue
		}
		out = append(out, array{name: a.name, data: got, kind: a.kind})
	}
	return out
}

// read is what is in a buffer, by way of an F32 as long.
func (b *bench) read(buf, host engine.Buf) []float32 {
	got := make([]float32, buf.Len)
	if buf.Type != engine.F64 {
		b.Copy(host, buf)
		b.Download(got, host)
		return got
	}
	scalars := make([]float64, buf.Len)
	b.Get(scalars, buf)
	for i, v := range scalars {
		got[i] = float32(v)
	}
	return got
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// bufs are memory for the arguments of a call, and an F32 as long for each.
func (b *bench) bufs(args []array) (bufs, host []engine.Buf) {
	const line = 16 // words that Alloc aligns to
	words := func(n int, t engine.Type) int { return (t.Words(n) + line - 1) / line * line }
	total := 0
	for _, a := range args {
		total += words(a.len(), a.kind) + words(a.len(), engine.F32)
	}
	if total > b.mem.Len {
		b.mem = b.Alloc(2 * total)
	}
	at := 0
	next := func(n int, t engine.Type) engine.Buf {
		at += words(n, t)
		return b.mem.At(at-words(n, t), n, t)
	}
	for _, a := range args {
		bufs, host = append(bufs, next(a.len(), a.kind)), append(host, next(a.len(), engine.F32))
	}
	return bufs, host
}

func unchanged(t *testing.T, a array, got []float32) {
	t.Helper()
	for i, v := range a.data {
		if math.Float32bits(v) != math.Float32bits(got[i]) {
			t.Fatalf("input %s[%d] was overwritten: %v, was %v", a.name, i, got[i], v)
		}
	}
}

func compare(t *testing.T, want, got []array, eps float64) {
	t.Helper()
	for i, w := range want {
		if w.kind == engine.BF16 {
			eps = max(eps, EpsBF16)
		}
		Close(t, w.name, got[i].data, w.data, eps)
		if e := Relative(got[i].data, w.data); !(e <= MaxError) {
			t.Errorf("%s: relative error %.2g, allowed %.2g", w.name, e, MaxError)
		}
	}
}

// Relative is ‖got − want‖ / ‖want‖, 0 where both are zero.
func Relative(got, want []float32) float64 {
	off := make([]float32, len(want))
	for i, w := range want {
		off[i] = got[i] - w
	}
	if e := rms(off); e != 0 {
		return e / rms(want)
	}
	return 0
}

// Close fails the test unless got is near want by the formula of the package.
func Close(t *testing.T, name string, got, want []float32, eps float64) {
	t.Helper()
	worst, at := 0.0, 0
	scale := rms(want)
	for i, w := range want {
		if e := math.Abs(float64(got[i])-float64(w)) / (math.Abs(float64(w)) + scale + math.SmallestNonzeroFloat32); !(e <= worst) {
			worst, at = e, i
		}
	}
	if !(worst <= eps) {
		t.Errorf("%s[%d] = %v, want %v: error %.2g of |want| + rms(want) = %.2g, allowed %.2g", name, at, got[at], want[at], worst, scale, eps)
	}
}

func rms(x []float32) float64 {
	var s float64
	for _, v := range x {
		s += float64(v) * float64(v)
	}
	return math.Sqrt(s / float64(max(1, len(x))))
}

func identical(t *testing.T, what string, a, b []array) {
	t.Helper()
	for i, x := range a {
		for j, v := range x.data {
			if math.Float32bits(v) != math.Float32bits(b[i].data[j]) {
				t.Fatalf("%s differ at %s[%d]: %v and %v", what, x.name, j, v, b[i].data[j])
			}
		}
	}
}

// generator makes the same inputs for every engine.
type generator struct{ *rand.Rand }

func newGenerator(name string) generator {
	seed := uint64(1469598103934665603)
	for _, c := range []byte(name) {
		seed = (seed ^ uint64(c)) * 1099511628211
	}
	return generator{rand.New(rand.NewPCG(seed, 1))}
}

// normal is n numbers around 0 with the given spread.
func (g generator) normal(n int, spread float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(spread * g.NormFloat64())
	}
	return x
}

func (g generator) ints(n, below int) []int32 {
	x := make([]int32, n)
	for i := range x {
		x[i] = int32(g.IntN(below))
	}
	return x
}

func in(name string, data []float32) array  { return array{name: name, data: data} }
func out(name string, data []float32) array { return array{name: name, data: data, output: true} }
func as(t engine.Type, a array) array {
	a.kind = t
	if t == engine.BF16 { // inputs are what their type can hold, so that "unchanged" means it
		a.data = slices.Clone(a.data)
		for i, v := range a.data {
			a.data[i] = engine.FromBF16(engine.ToBF16(v))
		}
	}
	return a
}

// exact is a with the nearest numbers that a BF16 can hold.
func exact(a array) array { return as(engine.F32, as(engine.BF16, a)) }

func ints(name string, data []int32) array        { return array{name: name, ints: data} }
func scalars(data ...float32) array               { return array{name: "scalars", data: data, kind: engine.F64} }
func written(a array) array                       { a.output = true; return a }
func fresh(g generator, name string, n int) array { return out(name, g.normal(n, 1)) } // overwritten: must not show

func title(kernel string, shape ...any) string { return fmt.Sprintf("%s/%v", kernel, shape) }
