package optim

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// orthogonalise runs the iteration on x [rows, cols].
func orthogonalise(e engine.Engine, x []float32, rows, cols int) []float32 {
	o := newOrthogonaliser(e, []matrix{{rows: rows, cols: cols}})
	e.Upload(o.x, x)
	o.run(rows, cols)
	return slices.Clone(e.Host(o.x))
}

func dense(x []float32, rows, cols int) *mat.Dense {
	d := mat.NewDense(rows, cols, nil)
	for i, v := range x {
		d.Set(i/cols, i%cols, float64(v))
	}
	return d
}

func values(d *mat.Dense) (out []float32) {
	rows, cols := d.Dims()
	for i := range rows * cols {
		out = append(out, float32(d.At(i/cols, i%cols)))
	}
	return out
}

// quintic is what the iteration does to one singular value.
func quintic(s float64) float64 {
	for range quinticSteps {
		s = quinticA*s + quinticB*s*s*s + quinticC*s*s*s*s*s
	}
	return s
}

// bySVD is the twin of orthogonalise: U·f(S/‖S‖)·Vᵀ.
func bySVD(x *mat.Dense) *mat.Dense {
	var svd mat.SVD
	if !svd.Factorize(x, mat.SVDThin) {
		return nil
	}
	var u, v, out mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	s := svd.Values(nil)
	norm := mat.Norm(x, 2) + normFloor
	for i := range s {
		s[i] = quintic(s[i] / norm)
	}
	out.Product(&u, mat.NewDiagDense(len(s), s), v.T())
	return &out
}

func normals(seed uint64, n int) []float32 {
	r, x := rand.New(rand.NewPCG(seed, 1)), make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func apart(a, b []float32) (most float64) {
	for i := range a {
		most = max(most, math.Abs(float64(a[i])-float64(b[i])))
	}
	return most
}

// orthogonalTolerance is that of float32 rounding behind 3.4445⁵ ≈ 485.
const orthogonalTolerance = 2e-4

func TestOrthogonaliseIsTheQuinticOfTheSingularValues(t *testing.T) {
	engines := []engine.Engine{reference.New(), openCPU(t, 1)}
	rapid.Check(t, func(t *rapid.T) {
		rows, cols := rapid.IntRange(1, 20).Draw(t, "rows"), rapid.IntRange(1, 20).Draw(t, "cols")
		rank := rapid.IntRange(1, min(rows, cols)).Draw(t, "rank")
		size := math.Pow(10, float64(rapid.IntRange(-10, 8).Draw(t, "size")))
		var product mat.Dense
		seed := rapid.Uint64().Draw(t, "seed")
		product.Mul(dense(normals(seed, rows*rank), rows, rank), dense(normals(seed+1, rank*cols), rank, cols))
		product.Scale(size, &product)
		x := values(&product)
		want := bySVD(dense(x, rows, cols))
		if want == nil {
			t.Skip("no singular values")
		}
		for _, e := range engines {
			if d := apart(orthogonalise(e, x, rows, cols), values(want)); !(d <= orthogonalTolerance) {
				t.Fatalf("%s: %d×%d of rank %d is off by %g", e.Name(), rows, cols, rank, d)
			}
		}
	})
}

func TestSingularValuesComeNearOne(t *testing.T) {
	for s := 0.003; s <= 1; s += 1e-4 {
		if got := quintic(s); got < 0.67 || got > 1.21 {
			t.Fatalf("a singular value of %g becomes %g", s, got)
		}
	}
	e := openCPU(t, 1)
	// Random matrices that are not square have no singular value near 0.
	for _, shape := range [][2]int{{64, 48}, {48, 200}, {200, 48}, {1, 30}, {30, 1}} {
		rows, cols := shape[0], shape[1]
		var svd mat.SVD
		if !svd.Factorize(dense(orthogonalise(e, normals(7, rows*cols), rows, cols), rows, cols), mat.SVDNone) {
			t.Fatalf("%d×%d: no singular values", rows, cols)
		}
		for i, s := range svd.Values(nil) {
			if s < 0.67 || s > 1.21 {
				t.Errorf("%d×%d: singular value %d is %g", rows, cols, i, s)
			}
		}
	}
}

func TestOrthogonaliseKeepsSignForgetsScaleAndFollowsTranspose(t *testing.T) {
	for name, open := range engines {
		e := open(t)
		const rows, cols = 9, 14
		x := normals(3, rows*cols)
		want := orthogonalise(e, x, rows, cols)
		scaled, turned := make([]float32, len(x)), make([]float32, len(x))
		for i, v := range x {
			scaled[i], turned[i%cols*rows+i/cols] = -1000*v, v
		}
		for i, v := range orthogonalise(e, scaled, rows, cols) {
			if math.Abs(float64(v+want[i])) > orthogonalTolerance {
				t.Fatalf("%s: element %d of −1000·x is %g, that of x %g", name, i, v, want[i])
			}
		}
		for i, v := range orthogonalise(e, turned, cols, rows) {
			if math.Abs(float64(v-want[i%rows*cols+i/rows])) > orthogonalTolerance {
				t.Fatalf("%s: element %d of the transpose is %g", name, i, v)
			}
		}
	}
}

func muonConfig() Config {
	return Config{Kind: "muon", Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, Momentum: 0.95}
}

func hiddenAll(gradients.Tensor) bool { return true }

func TestZeroGradientOnlyDecays(t *testing.T) {
	for name, open := range engines {
		e := open(t)
		c := muonConfig()
		c.WeightDecay, c.GradClip = 0.5, 1
		o, err := New(e, smallLayout[:1], hiddenAll, c)
		if err != nil {
			t.Fatal(err)
		}
		p := upload(e, 1, -2, 4, 8)
		if err := o.Step(p, e.Alloc(4), none, 0.5); err != nil {
			t.Fatal(err)
		}
		if got := e.Host(p); !slices.Equal(got, []float32{0.75, -1.5, 3, 6}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The root mean square of an update is AdamW's, about 0.2·lr, whatever the shape: what lets one learning rate serve both.
func TestUpdatesAreAsLargeAsAdamWs(t *testing.T) {
	e := openCPU(t, 1)
	for _, shape := range [][]int{{64, 64}, {32, 256}, {256, 32}, {16, 16}} {
		l := gradients.Layout{{Name: "w", Shape: shape}}
		o, err := New(e, l, hiddenAll, muonConfig())
		if err != nil {
			t.Fatal(err)
		}
		p := e.Alloc(l.Len())
		if err := o.Step(p, upload(e, normals(5, l.Len())...), none, 0.01); err != nil {
			t.Fatal(err)
		}
		var squares float64
		for _, x := range e.Host(p) {
			squares += float64(x) * float64(x)
		}
		rms := math.Sqrt(squares/float64(l.Len())) / 0.01
		if rms < 0.13 || rms > 0.24 {
			t.Errorf("%v: an update's elements come to %g learning rates, want about 0.2", shape, rms)
		}
	}
}

// Threads share the work of a step, they do not change it; and it takes no memory of the engine.
func TestStepDoesNotDependOnThreads(t *testing.T) {
	l := gradients.Layout{
		{Name: "embed", Shape: []int{100, 96}, Off: 0}, {Name: "norm", Shape: []int{96}, Off: 9600},
		{Name: "up", Shape: []int{520, 96}, Off: 9696}, {Name: "down", Shape: []int{96, 520}, Off: 59616},
	}
	hidden := func(t gradients.Tensor) bool { return t.Name == "up" || t.Name == "down" }
	var want []float32
	for threads := 1; threads <= 3; threads++ {
		e := openCPU(t, threads)
		o, err := New(e, l, hidden, muonConfig())
		if err != nil {
			t.Fatal(err)
		}
		p := upload(e, normals(1, l.Len())...)
		for step := range uint64(3) {
			if err := o.Step(p, upload(e, normals(2+step, l.Len())...), none, 0.01); err != nil {
				t.Fatal(err)
			}
		}
		if want == nil {
			want = slices.Clone(e.Host(p))
		} else if !slices.Equal(want, e.Host(p)) {
			t.Errorf("%d threads give other bits than one", threads)
		}
	}
}

// counting is an engine that counts the arithmetic of its products.
type counting struct {
	engine.Engine
	flops int64
}

func (c *counting) MatMul(z, x, y engine.Buf, transA, transB bool, m, n, k int, accumulate bool) {
	c.flops += 2 * int64(m) * int64(n) * int64(k)
	c.Engine.MatMul(z, x, y, transA, transB, m, n, k, accumulate)
}

func TestFLOPsAreThoseOfTheProducts(t *testing.T) {
	for _, shape := range [][]int{{5, 5}, {4, 9}, {9, 4}} {
		e, l := &counting{Engine: reference.New()}, gradients.Layout{{Name: "w", Shape: shape}}
		o, err := New(e, l, hiddenAll, muonConfig())
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Step(e.Alloc(l.Len()), e.Alloc(l.Len()), none, 0.1); err != nil {
			t.Fatal(err)
		}
		if o.FLOPs() != e.flops || e.flops == 0 {
			t.Errorf("%v: %d operations announced, %d done", shape, o.FLOPs(), e.flops)
		}
	}
}
