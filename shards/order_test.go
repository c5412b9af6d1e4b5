package shards

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The numbers come from an independent program written from docs/wire.md. The short chunk of 490 windows comes up in the
// first group of one epoch and in the second of another.
func TestOrderGolden(t *testing.T) {
	positions := []uint64{0, 1, 2, 60000, 65535, 65536, 74217}
	o := newOrder(74218, 128, 1337)
	for epoch, want := range map[uint64][]uint64{
		0: {50020, 65940, 22522, 28936, 55676, 34389, 34967},
		3: {18230, 65576, 36943, 72260, 65246, 65074, 49390},
	} {
		for i, p := range positions {
			if got := o.at(epoch*o.n + p); got != want[i] {
				t.Errorf("epoch %d, position %d: window %d, want %d", epoch, p, got, want[i])
			}
		}
	}
	if a, b := o.epoch(0).short/groupChunks, o.epoch(3).short/groupChunks; a == b {
		t.Errorf("the short chunk is in group %d of both epochs: choose others", a)
	}
	o = newOrder(403, 1<<17, 7)
	for p, want := range map[uint64][]uint64{0: {54, 211, 164, 124, 245, 337, 272, 339}, 200: {226, 74, 87, 227}, 400: {41, 248, 42}} {
		for i, w := range want {
			if got := o.at(5*o.n + p + uint64(i)); got != w {
				t.Errorf("position %d: window %d, want %d", p+uint64(i), got, w)
			}
		}
	}
}

// orders draws a shuffle with a handful of windows in a chunk and any number of chunks.
func orders() *rapid.Generator[order] {
	return rapid.Custom(func(t *rapid.T) order {
		seqLen := chunkTokens / rapid.IntRange(1, 9).Draw(t, "windows in a chunk")
		seqLen = rapid.SampledFrom([]int{seqLen, seqLen - 1, 3 * chunkTokens}).Draw(t, "seq_len")
		return newOrder(rapid.Uint64Range(1, 600).Draw(t, "windows"), seqLen, rapid.Uint64().Draw(t, "seed"))
	})
}

// listed is the order of an epoch as the description has it, with tables: the chunks are dealt, cut into groups, and
// each group is shuffled.
func (o order) listed(epoch uint64) (windows []uint64, groups [][]uint64) {
	var chunks, dealt [][]uint64
	for w := range o.n {
		if w%o.chunk == 0 {
			chunks = append(chunks, nil)
		}
		chunks[len(chunks)-1] = append(chunks[len(chunks)-1], w)
	}
	for _, c := range walk(newPermutation(uint64(len(chunks)), "skein/chunks/1", o.seed, epoch)) {
		dealt = append(dealt, chunks[c])
	}
	for group := range slices.Chunk(dealt, groupChunks) {
		members, number := slices.Concat(group...), uint64(len(groups))
		groups = append(groups, members)
		for _, i := range walk(newPermutation(uint64(len(members)), "skein/group/1", o.seed, epoch, number)) {
			windows = append(windows, members[i])
		}
	}
	return windows, groups
}

func TestOrderMatchesTheTables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, epoch := orders().Draw(t, "order"), rapid.Uint64Range(0, 1<<40).Draw(t, "epoch")
		want, _ := o.listed(epoch)
		for p, w := range want {
			if got := o.at(epoch*o.n + uint64(p)); got != w {
				t.Fatalf("position %d of %d: window %d, want %d", p, o.n, got, w)
			}
		}
	})
}

// Over an epoch every window comes up once, and any stretch of positions that is no longer than a group lies in the chunks
// of at most two groups, wherever the short chunk is.
func TestOrderIsLocal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, epoch := orders().Draw(t, "order"), rapid.Uint64Range(0, 1<<40).Draw(t, "epoch")
		var windows, chunks []uint64
		for p := range o.n {
			w := o.at(epoch*o.n + p)
			windows, chunks = append(windows, w), append(chunks, w/o.chunk)
		}
		sorted := slices.Sorted(slices.Values(windows))
		for i, w := range sorted {
			if w != uint64(i) {
				t.Fatalf("window %d of %d is missing or doubled", i, o.n)
			}
		}
		short := groupChunks*o.chunk - (o.chunk - 1) // of all groups but the last, the least that one can have
		for lo := range chunks {
			stretch := slices.Clone(chunks[lo:min(uint64(lo)+short, o.n)])
			slices.Sort(stretch)
			if n := len(slices.Compact(stretch)); n > 2*groupChunks {
				t.Fatalf("%d positions from %d on need %d chunks", len(stretch), lo, n)
			}
		}
		_, groups := o.listed(epoch)
		at := 0
		for i, g := range groups {
			got := slices.Sorted(slices.Values(windows[at : at+len(g)]))
			if slices.Sort(g); !slices.Equal(got, g) {
				t.Fatalf("the positions of group %d have other windows than its chunks", i)
			}
			at += len(g)
		}
	})
}

func TestOrderFollowsSeedAndEpoch(t *testing.T) {
	first := func(seed, epoch uint64) []uint64 {
		o := newOrder(10000, 1<<14, seed)
		var out []uint64
		for p := range uint64(1000) {
			out = append(out, o.at(epoch*o.n+p))
		}
		return out
	}
	if a := first(1, 0); slices.Equal(a, first(1, 1)) || slices.Equal(a, first(2, 0)) || !slices.Equal(a, first(1, 0)) {
		t.Fatal("want an order that seed and epoch decide, and nothing else")
	}
}

// The window at a position is uniform over the epochs: chi-squared over 98 windows in 20 chunks. Positions 78 and 79, which
// the first group has only if the short chunk is in the second, never get one of that chunk: they are left out.
func TestOrderIsFair(t *testing.T) {
	const draws = 50000
	o := newOrder(98, chunkTokens/5, 3)
	for _, p := range []uint64{0, 50, 77, 80, 97} {
		count := map[uint64]int{}
		for epoch := range uint64(draws) {
			count[o.at(epoch*o.n+p)]++
		}
		if chi := chiSquared(count, int(o.n), draws); chi > 145.8 { // 97 degrees of freedom, p = 0.001
			t.Errorf("position %d is uneven: chi-squared %.1f", p, chi)
		}
	}
}

// Neighbouring positions land far apart: over an epoch the mean distance of successive windows is about that of a random
// order, a third of the range.
func TestOrderScatters(t *testing.T) {
	o := newOrder(20*74218, 128, 1337)
	sum, last := 0.0, o.at(0)
	const steps = 400000
	for p := uint64(1); p < steps; p++ {
		at := o.at(p)
		sum += max(float64(at)-float64(last), float64(last)-float64(at))
		last = at
	}
	if mean := sum / (steps - 1) / float64(o.n); mean < 0.30 || mean > 0.36 {
		t.Fatalf("mean distance %.4f of the range, want about 1/3", mean)
	}
}

// A group holds chunks from everywhere: 16 of 1000 that are drawn without regard to their place have gaps like those of
// a random draw, of which two neighbours are rare.
func TestGroupsAreNoStretches(t *testing.T) {
	slots := newOrder(1000*4096, 128, 1337).epoch(0).slots
	neighbours := 0
	for j := uint64(1); j < slots.n; j++ {
		if a, b := slots.at(j-1), slots.at(j); a == b+1 || b == a+1 {
			neighbours++
		}
	}
	if neighbours > 10 { // the mean is 2
		t.Errorf("%d pairs of successive chunks were neighbours before", neighbours)
	}
}

func BenchmarkOrder(b *testing.B) {
	o, p := newOrder(1<<30, 1024, 1337), uint64(0)
	for b.Loop() {
		o.at(p)
		p++
	}
}
