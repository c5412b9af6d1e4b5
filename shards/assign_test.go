package shards

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whoever changes the rule breaks every run in flight. The starts come from an independent program.
func TestAssignGolden(t *testing.T) {
	beacon := sha256.Sum256([]byte("skein"))
	got := Assign(beacon, 1000, []uint32{0, 1, 2, 5, 9}, 320)
	if want := []uint64{1960, 1320, 1000, 1640, 2280}; !slices.Equal(got, want) {
		t.Fatalf("starts %v, want %v", got, want)
	}
	if got := Assign(beacon, 7, nil, 320); len(got) != 0 {
		t.Fatalf("an empty roster got %v", got)
	}
	if got := Assign(beacon, 7, []uint32{3}, 320); !slices.Equal(got, []uint64{7}) {
		t.Fatalf("a lone worker got %v, want the whole range", got)
	}
}

// Over any history of rosters, with workers that join, leave, and reserve without using, no window is dealt twice in
// an epoch, and the rounds leave no gap between them.
func TestNoWindowTwiceInAnEpoch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		windows := rapid.Uint64Range(1, 200).Draw(t, "windows")
		seqLen := chunkTokens / rapid.IntRange(1, 20).Draw(t, "windows in a chunk")
		seed := rapid.Uint64().Draw(t, "seed")
		cursor := rapid.Uint64Range(0, 1<<40).Draw(t, "cursor")
		first, seen := cursor, map[[2]uint64]bool{}
		used, reserved := uint64(0), uint64(0)
		for round := range rapid.IntRange(1, 12).Draw(t, "rounds") {
			roster := rapid.SliceOfNDistinct(rapid.Uint32Range(0, 40), 0, 9, rapid.ID).Draw(t, "roster")
			slices.Sort(roster)
			per := rapid.Uint64Range(1, 30).Draw(t, "sequences each")
			var beacon [32]byte
			binary.LittleEndian.PutUint64(beacon[:], rapid.Uint64().Draw(t, "beacon"))
			for i, start := range Assign(beacon, cursor, roster, per) {
				reserved += per
				if rapid.Bool().Draw(t, "absent") {
					continue
				}
				for g := start; g < start+per; g++ {
					used++
					at := [2]uint64{g / windows, newOrder(windows, seqLen, seed).at(g)}
					if seen[at] {
						t.Fatalf("round %d: window %d of epoch %d went to slot %d and to somebody before", round, at[1], at[0], roster[i])
					}
					seen[at] = true
				}
			}
			cursor += uint64(len(roster)) * per
		}
		if cursor-first != reserved || uint64(len(seen)) != used {
			t.Fatalf("%d positions reserved, cursor moved by %d; %d used, %d seen", reserved, cursor-first, used, len(seen))
		}
	})
}

// Every order of the roster comes up equally often: chi-squared over the 24 orders of four workers.
func TestAssignIsFair(t *testing.T) {
	const draws = 24000
	count := map[[4]uint64]int{}
	for i := range uint64(draws) {
		var beacon [32]byte
		binary.LittleEndian.PutUint64(beacon[:], i)
		count[[4]uint64(Assign(beacon, 0, []uint32{0, 1, 2, 3}, 1))]++
	}
	if chi := chiSquared(count, 24, draws); chi > 49.7 { // 23 degrees of freedom, p = 0.001
		t.Fatalf("orders are uneven: chi-squared %.1f over %d orders", chi, len(count))
	}
}

func chiSquared[K comparable](count map[K]int, cells, draws int) float64 {
	expect, chi := float64(draws)/float64(cells), 0.0
	for _, n := range count {
		chi += (float64(n) - expect) * (float64(n) - expect) / expect
	}
	return chi + float64(cells-len(count))*expect
}
