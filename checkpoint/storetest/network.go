package storetest

import (
	"testing"
	"testing/fstest"

	"github.com/skein-train/skein/checkpoint"
)

// RunNetwork tests stores that can fetch: what is there can be had here. pair makes two new ones and closes them.
func RunNetwork(t *testing.T, pair func(t *testing.T) (here, there checkpoint.Store)) {
	for name, test := range map[string]func(t *testing.T, here, there checkpoint.Store){
		"PinFetches":        pinFetches,
		"OpenFetches":       openFetches,
		"BothWays":          bothWays,
		"UnpinLetsGo":       unpinLetsGo,
		"NothingIsPromised": nothingIsPromised,
	} {
		t.Run(name, func(t *testing.T) {
			here, there := pair(t)
			test(t, here, there)
		})
	}
}

func networkFolder() map[string]string {
	return map[string]string{"f": Random(1, 300<<10), "empty": "", "a/b": "x", "same": Random(1, 300<<10)}
}

func pinFetches(t *testing.T, here, there checkpoint.Store) {
	ctx := t.Context()
	id := add(t, there, "there", networkFolder())
	want := must(there.Verify(ctx, id))(t)
	if err := here.Pin(ctx, id, "here"); err != nil {
		t.Fatal(err)
	}
	if err := there.Unpin(ctx, id); err != nil {
		t.Fatal(err)
	}
	must(there.Collect(ctx))(t)
	if removed := must(here.Collect(ctx))(t); removed != (checkpoint.Usage{}) {
		t.Errorf("collected %+v of a pinned folder", removed)
	}
	if got := must(here.Verify(ctx, id))(t); got != want {
		t.Errorf("%+v are here, %+v were there", got, want)
	}
	if pins := must(here.Pins(ctx))(t); len(pins) != 1 || pins[0] != (checkpoint.Pin{CID: id, Name: "here"}) {
		t.Errorf("pins %v", pins)
	}
}

func openFetches(t *testing.T, here, there checkpoint.Store) {
	id := add(t, there, "there", networkFolder())
	folder := must(here.Open(t.Context(), id))(t)
	if err := fstest.TestFS(folder, "f", "empty", "a/b", "same"); err != nil {
		t.Error(err)
	}
}

// bothWays has one folder here and one there, which share blocks.
func bothWays(t *testing.T, here, there checkpoint.Store) {
	a := add(t, here, "a", map[string]string{"common": Random(1, 600<<10), "own": Random(2, 300<<10)})
	b := add(t, there, "b", map[string]string{"common": Random(1, 600<<10), "own": Random(3, 300<<10)})
	for id, s := range map[string]checkpoint.Store{a: there, b: here} {
		if err := s.Pin(t.Context(), id, "other"); err != nil {
			t.Fatal(err)
		}
	}
	if x, y := must(here.Usage(t.Context()))(t), must(there.Usage(t.Context()))(t); x != y {
		t.Errorf("%+v are here, %+v there", x, y)
	}
}

func unpinLetsGo(t *testing.T, here, there checkpoint.Store) {
	id := add(t, there, "there", networkFolder())
	if err := here.Pin(t.Context(), id, "here"); err != nil {
		t.Fatal(err)
	}
	if err := here.Unpin(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	must(here.Collect(t.Context()))(t)
	nothingForNothing(t, here)
}

// nothingIsPromised reads a folder here that nobody pinned: Collect may take it, and it can be had again.
func nothingIsPromised(t *testing.T, here, there checkpoint.Store) {
	id := add(t, there, "there", networkFolder())
	for range 2 {
		folder := must(here.Open(t.Context(), id))(t)
		if err := fstest.TestFS(folder, "f"); err != nil {
			t.Error(err)
		}
		must(here.Collect(t.Context()))(t)
	}
}
