package aggregator_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// The root by hand, from the bytes that docs/wire.md names, for one, two and three fragments of two values each.
func TestRootByHand(t *testing.T) {
	hash := func(parts ...[]byte) []byte {
		h := sha256.Sum256(slices.Concat(parts...))
		return h[:]
	}
	// 1, 2, 3, 4, 5, 6 and .5, 0, −1, −2, .25, 8 as little-endian float32.
	anchor := [][]byte{{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}, {0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40}, {0, 0, 0xa0, 0x40, 0, 0, 0xc0, 0x40}}
	moment := [][]byte{{0, 0, 0, 0x3f, 0, 0, 0, 0}, {0, 0, 0x80, 0xbf, 0, 0, 0, 0xc0}, {0, 0, 0x80, 0x3e, 0, 0, 0, 0x41}}
	var leaves [][]byte
	for i := range anchor {
		leaves = append(leaves, hash([]byte{0, byte(i), 0, 0, 0}, anchor[i], moment[i]))
	}
	pair := hash([]byte{1}, leaves[0], leaves[1])
	for n, want := range map[int][]byte{1: leaves[0], 2: pair, 3: hash([]byte{1}, pair, leaves[2])} {
		got := Root(layout(n).Fragments(), gradients.Vec{1, 2, 3, 4, 5, 6}[:2*n], []gradients.Vec{gradients.Vec{.5, 0, -1, -2, .25, 8}[:2*n]})
		if !slices.Equal(got[:], want) {
			t.Errorf("%d fragments: root %v, by hand %x", n, got, want)
		}
	}
}

// Weights are what they were, divided by their greatest common divisor.
func TestWeights(t *testing.T) {
	for _, c := range []struct {
		tokens []uint64
		want   []float32
	}{
		{nil, []float32{}},
		{[]uint64{4096}, []float32{1}},
		{[]uint64{4096, 4096, 4096}, []float32{1, 1, 1}},
		{[]uint64{4096, 2048, 6144}, []float32{2, 1, 3}},
		{[]uint64{7, 5}, []float32{7, 5}},
		{[]uint64{0, 6, 9}, []float32{0, 2, 3}},
		{[]uint64{0, 0}, []float32{0, 0}},
		{[]uint64{1 << 60, 1 << 59}, []float32{2, 1}},
		{[]uint64{1 << 60, 1}, []float32{1 << 60, 1}},
	} {
		var b Body
		for _, n := range c.tokens {
			b.List = append(b.List, Included{Weight: n})
		}
		if got := b.Weights(); !slices.Equal(got, c.want) {
			t.Errorf("tokens %v: weights %v, want %v", c.tokens, got, c.want)
		}
	}
}

// flying returns a world and a snapshot of its worker with two departures under way and a residual.
func flying(t *testing.T) (*world, Snapshot) {
	t.Helper()
	w := newWorld(t, 1, DiLoCo(f32, 0.7, 0.9, 0.5, 0.5), Schedule{Every: 4, Fragments: 2, Delay: 4, Steps: 12})
	var saved Snapshot
	run(t, w.worker(0, shrinking, func(_ context.Context, l Landing) error {
		if l.Certificate.Seq == 2 {
			saved = l.Worker.Snapshot()
			for i, v := range saved.Vectors {
				saved.Vectors[i] = slices.Clone(v)
			}
		}
		return nil
	}))
	return w, saved
}

func shrinking(step uint64) float32 { return 1 / float32(step) }

// What a worker saves is what a resumed one saves.
func TestSnapshotRoundTrip(t *testing.T) {
	w, saved := flying(t)
	o := w.options(0, shrinking)
	o.Resume = &saved
	again, err := NewWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.State().Flights) != 2 || again.State().Step != 8 || again.State().Seq != 2 {
		t.Errorf("state after round %d, step %d, %d under way; want 2, 8 and 2", again.State().Seq, again.State().Step, len(again.State().Flights))
	}
	p := again.Snapshot()
	if string(p.Header) != string(saved.Header) || !slices.EqualFunc(p.Vectors, saved.Vectors, func(a, b gradients.Vec) bool { return slices.Equal(a, b) }) {
		t.Errorf("saved again as\n%s\nwas\n%s", p.Header, saved.Header)
	}
}

// A snapshot from elsewhere is refused with an error, before the state is built from it.
func TestHostileSnapshots(t *testing.T) {
	w, saved := flying(t)
	set := func(key string, value any) func(*Snapshot) {
		return func(p *Snapshot) {
			var h map[string]any
			if err := json.Unmarshal(p.Header, &h); err != nil {
				t.Fatal(err)
			}
			h[key] = value
			p.Header, _ = json.Marshal(h)
		}
	}
	flights := func(ns ...Seq) (out []Flight) {
		for _, n := range ns {
			out = append(out, Flight{Seq: n})
		}
		return out
	}
	for name, spoil := range map[string]func(*Snapshot){
		"no header":         func(p *Snapshot) { p.Header = nil },
		"no JSON":           func(p *Snapshot) { p.Header = p.Header[1:] },
		"other run":         set("Run", Hash{1}),
		"many outer slots":  set("Outer", math.MaxInt64),
		"negative slots":    set("Outer", -1),
		"encoder slots":     set("Encoder", 1<<40),
		"no feedback":       set("Feedback", false),
		"round to come":     set("Seq", 5),
		"round after all":   set("Seq", uint64(math.MaxUint64)),
		"other step":        set("Step", 7),
		"no departures yet": set("Flights", flights(3, 4, 5)),
		"landed already":    set("Flights", flights(2, 3)),
		"gap":               set("Flights", flights(3, 5)),
		"round 0":           set("Flights", flights(0, 1)),
		"same twice":        set("Flights", flights(3, 3)),
		"no vectors":        func(p *Snapshot) { p.Vectors = nil },
		"short anchor":      func(p *Snapshot) { p.Vectors[0] = p.Vectors[0][1:] },
		"short momentum":    func(p *Snapshot) { p.Vectors[1] = nil },
		"short residual":    func(p *Snapshot) { p.Vectors[2] = p.Vectors[2][:1] },
		"long departure":    func(p *Snapshot) { p.Vectors[3] = p.Vectors[0] },
		"vectors missing":   func(p *Snapshot) { p.Vectors = p.Vectors[:4] },
	} {
		t.Run(name, func(t *testing.T) {
			p := Snapshot{Header: slices.Clone(saved.Header), Vectors: slices.Clone(saved.Vectors)}
			spoil(&p)
			o := w.options(0, shrinking)
			o.Resume = &p
			if _, err := NewWorker(o); !errors.Is(err, ErrMalformed) {
				t.Errorf("the worker answers %v", err)
			}
		})
	}
}
