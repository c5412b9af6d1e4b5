package shards

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func walk(p permutation) []uint64 {
	out := make([]uint64, p.n)
	for i := range out {
		out[i] = p.at(uint64(i))
	}
	return out
}

// The numbers come from an independent program written from docs/wire.md.
func TestPermutationGolden(t *testing.T) {
	if got, want := walk(newPermutation(10, "skein/chunks/1", 1337, 0)), []uint64{5, 6, 0, 2, 7, 9, 8, 4, 3, 1}; !slices.Equal(got, want) {
		t.Fatalf("chunks: %v, want %v", got, want)
	}
	if got, want := newPermutation(74218, "skein/group/1", 1337, 3, 1).at(12345), uint64(67357); got != want {
		t.Fatalf("group: %d, want %d", got, want)
	}
}

func TestPermutationIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, 3000).Draw(t, "n")
		p := newPermutation(n, "test", rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "epoch"))
		got := walk(p)
		for i, v := range got {
			if p.find(v) != uint64(i) {
				t.Fatalf("%d goes to %d, which comes from %d", i, v, p.find(v))
			}
		}
		slices.Sort(got)
		for i, v := range got {
			if v != uint64(i) {
				t.Fatalf("of %d elements, %d is missing or doubled", n, i)
			}
		}
	})
}

// Where element 3 of 7 goes, over many epochs: uniform (chi-squared, 6 degrees of freedom, p = 0.001).
func TestPermutationIsFair(t *testing.T) {
	count := map[uint64]int{}
	for epoch := range uint64(7000) {
		count[newPermutation(7, "test", 1, epoch).at(3)]++
	}
	if chi := chiSquared(count, 7, 7000); chi > 22.5 {
		t.Fatalf("uneven: chi-squared %.1f, %v", chi, count)
	}
}

// Neighbouring positions land far apart: over an epoch the mean distance of successive windows is that of a random
// order, a third of the range.
func TestPermutationScatters(t *testing.T) {
	const n = 74218
	p := newPermutation(n, "test", 1337, 0)
	sum, last := 0.0, p.at(0)
	for i := uint64(1); i < n; i++ {
		at := p.at(i)
		sum += max(float64(at)-float64(last), float64(last)-float64(at))
		last = at
	}
	if mean := sum / (n - 1) / n; mean < 0.32 || mean > 0.35 {
		t.Fatalf("mean distance %.4f of the range, want about 1/3", mean)
	}
}
