package graph

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/skein-train/skein/gradients"
)

func TestNormalInvertsTheDistribution(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 200000 {
		bits := r.Uint64()
		if i%4 == 0 {
			bits >>= r.IntN(52) // far into the lower tail
		}
		p := (float64(bits>>12) + 0.5) / (1 << 52)
		want := math.Sqrt2 * math.Erfinv(2*p-1)
		if p < 0.01 {
			want = -math.Sqrt2 * math.Erfcinv(2*p)
			want = -math.Abs(want)
		}
		if got := normal(bits); math.Abs(got-want) > 1e-6*(1+math.Abs(want)) {
			t.Fatalf("p = %g: %.9f, want %.9f", p, got, want)
		}
	}
}

func TestLogarithm(t *testing.T) {
	for _, x := range []float64{0x1p-53, 1e-10, 0.3, 0.5, 0.7071, 0.70711, 1, 1.5, 1e6} {
		if got, want := logarithm(x), math.Log(x); math.Abs(got-want) > 1e-13*(1+math.Abs(want)) {
			t.Errorf("ln %g = %.16g, want %.16g", x, got, want)
		}
	}
}

func TestInit(t *testing.T) {
	m := Model{VocabSize: 256, HiddenSize: 64, IntermediateSize: 96, NumHiddenLayers: 2, NumAttentionHeads: 4, NumKeyValueHeads: 2}
	l := layout(t, m, 1)
	v := make(gradients.Vec, l.Len())
	Init(v, l, 42)
	for _, tensor := range l {
		x := v[tensor.Off : tensor.Off+tensor.Len()]
		var sum, squares float64
		for _, w := range x {
			sum, squares = sum+float64(w), squares+float64(w)*float64(w)
		}
		n := float64(len(x))
		mean, std := sum/n, math.Sqrt(squares/n)
		if len(tensor.Shape) == 1 {
			if slices.Min(x) != 1 || slices.Max(x) != 1 {
				t.Errorf("%s is not all ones", tensor.Name)
			}
		} else if math.Abs(mean) > 5*InitStd/math.Sqrt(n) || math.Abs(std/InitStd-1) > 5/math.Sqrt(2*n) {
			t.Errorf("%s: mean %g, standard deviation %g", tensor.Name, mean, std)
		}
	}
}

// The weights of a seed are part of what a run is: they must never change, on any machine.
func TestInitGolden(t *testing.T) {
	m := Model{VocabSize: 256, HiddenSize: 64, IntermediateSize: 96, NumHiddenLayers: 2, NumAttentionHeads: 4, NumKeyValueHeads: 2}
	sums := map[string]bool{}
	for _, fragments := range []int{1, 2, 3} {
		l := layout(t, m, fragments)
		v := make(gradients.Vec, l.Len())
		Init(v, l, 1337)
		h := sha256.New()
		for _, tensor := range layout(t, m, 1) {
			at, _ := l.Find(tensor.Name)
			for _, w := range v[at.Off : at.Off+at.Len()] {
				h.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(w)))
			}
		}
		sums[hex.EncodeToString(h.Sum(nil))] = true
	}
	const want = "1cf3f08825cf86dac020c03c19f2e166d763fce0609b9381de95762ac0ace0fc"
	if len(sums) != 1 || !sums[want] {
		t.Errorf("weights have hashes %v, want %s under every fragmentation", sums, want)
	}
}
