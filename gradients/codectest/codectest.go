// Package codectest is the conformance suite of gradients.Codec: what every codec promises whatever it sends. A new
// codec's test calls Run, and its fuzz target Hostile.
package codectest

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/skein-train/skein/gradients"
	"pgregory.net/rapid"
)

// Make builds the codec under test.
type Make func(gradients.Layout, gradients.Fragment) (gradients.Codec, error)

// Layout has two fragments, and in the second a matrix longer than a block of 4096, a vector, and a single number.
func Layout() gradients.Layout {
	return gradients.Layout{
		{Name: "embed", Shape: []int{3, 5}, Off: 0, Fragment: 0},
		{Name: "matrix", Shape: []int{65, 64}, Off: 15, Fragment: 1},
		{Name: "vector", Shape: []int{37}, Off: 15 + 4160, Fragment: 1},
		{Name: "number", Shape: []int{1}, Off: 15 + 4160 + 37, Fragment: 1},
	}
}

// Run checks a codec over both fragments of Layout.
func Run(t *testing.T, mk Make) {
	for _, f := range Layout().Fragments() {
		c, err := mk(Layout(), f)
		if err != nil {
			t.Fatal(err)
		}
		s := newSuite(c, f.Len())
		t.Run("payload", func(t *testing.T) { rapid.Check(t, s.payload) })
		t.Run("sum", func(t *testing.T) { rapid.Check(t, s.sum) })
		t.Run("weights", s.weights)
		t.Run("poison", s.poison)
		t.Run("sizes", s.sizes)
		t.Run("damage", func(t *testing.T) { rapid.Check(t, s.damage) })
	}
}

// Hostile asserts what holds for any bytes: no panic; what Add takes, Check took; what it takes gives finite values;
// what it refuses changes nothing.
func Hostile(t testing.TB, c gradients.Codec, n int, src []byte) {
	newSuite(c, n).hostile(t, src)
}

type suite struct {
	gradients.Codec
	n     int
	whole []byte        // a valid payload
	mean  gradients.Vec // and its mean
}

func newSuite(c gradients.Codec, n int) *suite {
	s := &suite{Codec: c, n: n, mean: make(gradients.Vec, n)}
	s.whole = s.encode(Values("gaussian", 3, n))
	sum := c.NewSum()
	if sum.Add(1, s.whole) == nil {
		sum.Mean(s.mean)
	}
	return s
}

// values draws vectors as runs leave them: small and near Gaussian, some zeros, sometimes all zero or wide.
func (s *suite) values(t *rapid.T) gradients.Vec {
	seed := rapid.Uint64().Draw(t, "seed")
	kind := rapid.SampledFrom([]string{"gaussian", "zero", "sparse", "wide"}).Draw(t, "kind")
	return Values(kind, seed, s.n)
}

// Values makes a reproducible vector of a kind: gaussian, zero, sparse, or wide (all magnitudes that are allowed).
func Values(kind string, seed uint64, n int) gradients.Vec {
	v := make(gradients.Vec, n)
	next := func() uint64 { // splitmix64
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	for i := range v {
		r := next()
		bell := float32(int64(r&0xffff)+int64(r>>16&0xffff)+int64(r>>32&0xffff)+int64(r>>48)-2*0xffff) / (1 << 16)
		switch kind {
		case "gaussian":
			v[i] = bell / 64
		case "sparse":
			if next()%16 == 0 {
				v[i] = bell
			}
		case "wide":
			v[i] = math.Float32frombits(uint32(r)&(1<<31|1<<23-1) | uint32(next()%191)<<23)
		}
	}
	return v
}

func (s *suite) encode(v gradients.Vec) []byte {
	return s.Append(nil, gradients.Key{Departure: 1}, v, s.slots())
}

func (s *suite) slots() []gradients.Vec {
	st := make([]gradients.Vec, s.Slots())
	for i := range st {
		st[i] = make(gradients.Vec, s.n)
	}
	return st
}

// payload: encoding is pure, appends, fits MaxSize, passes Check, and v survives the call.
func (s *suite) payload(t *rapid.T) {
	v := s.values(t)
	before := slices.Clone(v)
	src := s.encode(v)
	if !slices.Equal(v, before) {
		t.Fatal("Append changed its input")
	}
	if len(src) > s.MaxSize() {
		t.Fatalf("payload of %d bytes, MaxSize is %d", len(src), s.MaxSize())
	}
	behind := s.Append([]byte("front"), gradients.Key{Departure: 1}, v, s.slots())
	if string(behind[:5]) != "front" || !bytes.Equal(behind[5:], src) {
		t.Fatal("Append behind bytes gives another payload")
	}
	if err := s.Check(src); err != nil {
		t.Fatalf("Check refuses a valid payload: %v", err)
	}
	out := s.decode(t, src)
	if !gradients.Finite(out) {
		t.Fatal("a payload of finite values decodes to others")
	}
	if again := s.encode(v); !bytes.Equal(again, src) {
		t.Fatal("the same values give other bytes")
	}
}

func (s *suite) decode(t rapid.TB, src []byte) gradients.Vec {
	out := make(gradients.Vec, s.n)
	if err := gradients.Decoded(s, out, src); err != nil {
		t.Fatal(err)
	}
	return out
}

// sum: an empty sum has mean zero; adding the same payload twice, or one with another weight, keeps its mean; a refused
// payload leaves the sum as it was.
func (s *suite) sum(t *rapid.T) {
	a, b := s.encode(s.values(t)), s.encode(s.values(t))
	sum, got := s.NewSum(), make(gradients.Vec, s.n)
	got[0] = 1
	sum.Mean(got)
	if !slices.Equal(got, make(gradients.Vec, s.n)) {
		t.Fatal("the mean of nothing is not zero")
	}
	must(t, sum.Add(2, a))
	sum.Mean(got)
	if !slices.Equal(got, s.decode(t, a)) {
		t.Fatal("the weighted mean of one payload is not the payload")
	}
	s.encode(s.values(t)) // a sum lives through what its codec does meanwhile
	must(t, sum.Add(1, b))
	want := make(gradients.Vec, s.n)
	sum.Mean(want)
	if err := sum.Add(1, b[:len(b)-1]); err == nil {
		t.Fatal("Add takes a payload that lost a byte")
	}
	sum.Mean(got)
	if !slices.Equal(got, want) {
		t.Fatal("a refused payload changed the sum")
	}
}

func (s *suite) weights(t *testing.T) {
	src := s.encode(Values("gaussian", 1, s.n))
	for _, w := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, gradients.MaxWeight * 2} {
		if s.NewSum().Add(float32(w), src) == nil {
			t.Errorf("Add takes weight %g", w)
		}
	}
	sum, got := s.NewSum(), make(gradients.Vec, s.n)
	must(t, sum.Add(0, src))
	sum.Mean(got)
	if !slices.Equal(got, make(gradients.Vec, s.n)) {
		t.Error("the mean of weight 0 is not zero")
	}
}

// poison: a single value that is no gradient, wherever it is, makes a payload that no sum takes.
func (s *suite) poison(t *testing.T) {
	for _, bits := range []uint32{0x7f800000, 0xff800000, 0x7fc00000, 0x7fffffff, 0xffffffff, 0x7f800001, 0x5f810000, 0xdf810000} {
		for _, at := range []int{0, s.n / 2, s.n - 1} {
			v := Values("gaussian", 4, s.n)
			v[at] = math.Float32frombits(bits)
			if src := s.encode(v); s.NewSum().Add(1, src) == nil {
				t.Errorf("value %g (%#08x) at %d went through", v[at], bits, at)
			}
		}
	}
}

func (s *suite) sizes(t *testing.T) {
	src := s.encode(Values("gaussian", 2, s.n))
	for n := range src {
		if n > 64 && n < len(src)-16 {
			continue
		}
		s.hostile(t, src[:n])
		if s.NewSum().Add(1, src[:n]) == nil {
			t.Fatalf("Add takes the first %d of %d bytes", n, len(src))
		}
	}
	for _, more := range [][]byte{{0}, make([]byte, s.MaxSize())} {
		if s.Check(append(slices.Clone(src), more...)) == nil && s.NewSum().Add(1, append(slices.Clone(src), more...)) == nil {
			t.Errorf("Add takes %d bytes too many", len(more))
		}
	}
}

// damage: any bytes changed anywhere.
func (s *suite) damage(t *rapid.T) {
	src := s.encode(s.values(t))
	for range rapid.IntRange(1, 8).Draw(t, "changes") {
		i := rapid.IntRange(0, len(src)-1).Draw(t, "at")
		if rapid.Bool().Draw(t, "early") {
			i %= min(len(src), 40)
		}
		src[i] = rapid.Byte().Draw(t, "byte")
	}
	s.hostile(t, src)
}

func (s *suite) hostile(t rapid.TB, src []byte) {
	sum, after := s.NewSum(), make(gradients.Vec, s.n)
	must(t, sum.Add(1, s.whole))
	checked := s.Check(src)
	added := sum.Add(1, src)
	sum.Mean(after)
	if added == nil && checked != nil {
		t.Fatalf("Add takes what Check refuses: %v", checked)
	}
	if added != nil && !errors.Is(added, gradients.ErrCorrupt) {
		t.Fatalf("error is not ErrCorrupt: %v", added)
	}
	if added != nil && !slices.Equal(s.mean, after) {
		t.Fatalf("a refused payload changed the sum: %v", added)
	}
	if !gradients.Finite(after) {
		t.Fatal("hostile bytes made the mean infinite")
	}
}

func must(t rapid.TB, err error) {
	if err != nil {
		t.Fatal(err)
	}
}
