// Package storetest is what every checkpoint.Store must do.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/skein-train/skein/checkpoint"
)

// Run tests stores that open makes. It closes none of them.
func Run(t *testing.T, open func(t *testing.T) checkpoint.Store) {
	for name, test := range map[string]func(*testing.T, checkpoint.Store){
		"KnownCIDs":         knownCIDs,
		"FoldersComeBack":   foldersComeBack,
		"PinsProtect":       pinsProtect,
		"PinAgain":          pinAgain,
		"SharedBlocksStay":  sharedBlocksStay,
		"BadNames":          badNames,
		"UnknownCIDs":       unknownCIDs,
		"FailedAdd":         failedAdd,
		"CancelledAdd":      cancelledAdd,
		"NothingForNothing": nothingForNothing,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// Files makes files for Add out of names and contents.
func Files(contents map[string]string) []checkpoint.File {
	var out []checkpoint.File
	for name, content := range contents {
		out = append(out, checkpoint.File{Path: name, Data: strings.NewReader(content)})
	}
	return out
}

// Random returns n bytes that follow from the seed.
func Random(seed uint64, n int) string {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return string(b)
}

func add(t *testing.T, s checkpoint.Store, name string, contents map[string]string) string {
	t.Helper()
	id, err := s.Add(t.Context(), name, Files(contents))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// knownCIDs come from another implementation of the same rules as `ipfs add -r --cid-version=1 --raw-leaves`: the
// JavaScript package ipfs-unixfs-importer 17, with cidVersion 1, raw leaves, chunks of 262144 bytes and 174 links a node.
func knownCIDs(t *testing.T, s checkpoint.Store) {
	for want, contents := range map[string]map[string]string{
		"bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354": {},
		"bafybeiazssf44ihkmhssymvikxl4iqbrvmga7kpoua57rriskwhvg6pvmi": {
			"hello": "hello", "empty": "", "sub/one": sequence(256<<10, 1), "sub/two": sequence(256<<10+1, 2),
			"sub/deep/zeros": strings.Repeat("\x00", 1<<20), "big": sequence(174*(256<<10)+1, 3), // the first of two levels
		},
	} {
		got := add(t, s, "known", contents)
		if got != want {
			t.Errorf("CID %s, want %s", got, want)
		}
		if len(contents) > 0 && string(must(fs.ReadFile(must(s.Open(t.Context(), got))(t), "big"))(t)) != contents["big"] {
			t.Error("the file of two levels came back changed")
		}
	}
}

// sequence is simple enough to be written again in any language.
func sequence(n int, x uint32) string {
	b := make([]byte, n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

func foldersComeBack(t *testing.T, s checkpoint.Store) {
	contents := map[string]string{
		"empty": "", "small": "hello", "exact": Random(1, 256<<10), "more": Random(2, 256<<10+1),
		"zeros": strings.Repeat("\x00", 1<<20), "deep/er/file": "x", "deep/file": "y",
	}
	id := add(t, s, "all", contents)
	fsys := must(s.Open(t.Context(), id))(t)
	var names []string
	for name := range contents {
		names = append(names, name)
	}
	if err := fstest.TestFS(fsys, names...); err != nil {
		t.Error(err)
	}
	for name, want := range contents {
		f := must(fsys.Open(name))(t)
		if err := iotest.TestReader(f, []byte(want)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	used := must(s.Verify(t.Context(), id))(t)
	if stored := must(s.Usage(t.Context()))(t); used != stored {
		t.Errorf("verified %+v, the store holds %+v", used, stored)
	}
	if again := add(t, s, "all", contents); again != id {
		t.Errorf("the same files gave %s, then %s", id, again)
	}
}

func pinsProtect(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	a := add(t, s, "a", map[string]string{"f": Random(1, 600<<10)})
	b := add(t, s, "b", map[string]string{"f": Random(2, 600<<10)})
	pins := must(s.Pins(ctx))(t)
	if len(pins) != 2 || pins[0] != (checkpoint.Pin{CID: a, Name: "a"}) || pins[1] != (checkpoint.Pin{CID: b, Name: "b"}) {
		t.Fatalf("pins %v", pins)
	}
	before := must(s.Usage(ctx))(t)
	if removed := must(s.Collect(ctx))(t); removed != (checkpoint.Usage{}) {
		t.Fatalf("collected %+v of pinned folders", removed)
	}
	for range 2 { // the second time it is not pinned any more
		if err := s.Unpin(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	must(s.Verify(ctx, a))(t) // until it is collected
	removed, after := must(s.Collect(ctx))(t), must(s.Usage(ctx))(t)
	if removed.Blocks == 0 || removed.Blocks+after.Blocks != before.Blocks || removed.Bytes+after.Bytes != before.Bytes {
		t.Fatalf("%+v before, %+v removed, %+v after", before, removed, after)
	}
	if _, err := s.Open(ctx, a); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Fatalf("a collected folder: error %v", err)
	}
	must(s.Verify(ctx, b))(t)
}

func pinAgain(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	a := add(t, s, "first", map[string]string{"f": "x"})
	if err := s.Pin(ctx, a, "second"); err != nil {
		t.Fatal(err)
	}
	if pins := must(s.Pins(ctx))(t); len(pins) != 1 || pins[0].Name != "first" {
		t.Fatalf("pins %v", pins)
	}
	if err := s.Unpin(ctx, a); err != nil {
		t.Fatal(err)
	}
	if err := s.Pin(ctx, a, "second"); err != nil { // its blocks are still here
		t.Fatal(err)
	}
	must(s.Collect(ctx))(t)
	must(s.Verify(ctx, a))(t)
}

func sharedBlocksStay(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	common := Random(1, 2<<20)
	a := add(t, s, "a", map[string]string{"common": common, "own": Random(2, 300<<10)})
	before := must(s.Usage(ctx))(t)
	b := add(t, s, "b", map[string]string{"common": common, "own": Random(3, 300<<10)})
	if grown := must(s.Usage(ctx))(t).Bytes - before.Bytes; grown > 400<<10 {
		t.Errorf("the common file was stored twice: %d bytes more", grown)
	}
	if err := s.Unpin(ctx, a); err != nil {
		t.Fatal(err)
	}
	must(s.Collect(ctx))(t)
	must(s.Verify(ctx, b))(t)
}

func badNames(t *testing.T, s checkpoint.Store) {
	for _, name := range []string{"", ".", "..", "../x", "/x", "a//b", "a/../b"} {
		if _, err := s.Add(t.Context(), "bad", Files(map[string]string{name: "x"})); err == nil {
			t.Errorf("a file named %q was stored", name)
		}
	}
	if _, err := s.Add(t.Context(), "bad", Files(map[string]string{"a": "x", "a/b": "y"})); err == nil {
		t.Error("a file that is a folder too was stored")
	}
	twice := []checkpoint.File{{Path: "a", Data: strings.NewReader("x")}, {Path: "a", Data: strings.NewReader("y")}}
	if _, err := s.Add(t.Context(), "bad", twice); err == nil {
		t.Error("two files of one name were stored")
	}
}

func unknownCIDs(t *testing.T, s checkpoint.Store) {
	ctx := t.Context()
	const absent = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
	for _, id := range []string{"", "rubbish", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbd!"} {
		if _, err := s.Open(ctx, id); err == nil {
			t.Errorf("%q was opened", id)
		}
	}
	_, openErr := s.Open(ctx, absent)
	_, verifyErr := s.Verify(ctx, absent)
	for _, err := range []error{openErr, verifyErr, s.Pin(ctx, absent, "absent")} {
		if !errors.Is(err, checkpoint.ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
	}
	if pins := must(s.Pins(ctx))(t); len(pins) > 0 {
		t.Errorf("pins %v", pins)
	}
}

func failedAdd(t *testing.T, s checkpoint.Store) {
	ctx, broken := t.Context(), errors.New("broken")
	old := add(t, s, "old", map[string]string{"f": Random(1, 300<<10)})
	before := must(s.Usage(ctx))(t)
	half := io.MultiReader(bytes.NewReader(make([]byte, 9<<20)), iotest.ErrReader(broken))
	if _, err := s.Add(ctx, "new", []checkpoint.File{{Path: "f", Data: half}}); !errors.Is(err, broken) {
		t.Fatalf("error %v", err)
	}
	must(s.Collect(ctx))(t)
	if after := must(s.Usage(ctx))(t); after != before {
		t.Errorf("%+v before, %+v after", before, after)
	}
	must(s.Verify(ctx, old))(t)
}

func cancelledAdd(t *testing.T, s checkpoint.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Add(ctx, "new", Files(map[string]string{"f": "x"})); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
}

func nothingForNothing(t *testing.T, s checkpoint.Store) {
	u, removed := must(s.Usage(t.Context()))(t), must(s.Collect(t.Context()))(t)
	if u != (checkpoint.Usage{}) || removed != u || len(must(s.Pins(t.Context()))(t)) > 0 {
		t.Errorf("a new store holds %+v", u)
	}
}
