package ipfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/storetest"
)

func writeFiles(t testing.TB, dir string, contents map[string]string) (paths []string) {
	t.Helper()
	for p, c := range contents {
		name := filepath.Join(dir, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(c), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

func TestAddDirRefersToTheFiles(t *testing.T) {
	contents := map[string]string{
		"shard_000000.bin": storetest.Random(1, 3<<20), "shard_000001.bin": storetest.Random(2, 700<<10),
		"manifest.json": "{}", "sub/empty": "",
	}
	dir, data := t.TempDir(), t.TempDir()
	paths := writeFiles(t, data, contents)
	s := openDisk(t, dir, Options{})
	id, err := s.AddDir(t.Context(), "shards", data, paths)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := openMemory(t).Add(t.Context(), "copy", storetest.Files(contents)); err != nil || id != want {
		t.Errorf("CID %s, that of a copy is %s, error %v", id, want, err)
	}
	if n := bytesBelow(t, filepath.Join(dir, blocksDir)); n > 16<<10 {
		t.Errorf("the store took %d bytes for itself", n)
	}
	if _, err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	folder, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range contents {
		if got, err := fs.ReadFile(folder, p); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, error %v", p, len(got), err)
		}
	}
	if err := s.Unpin(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Blocks > 0 {
		t.Errorf("%+v left, error %v", u, err)
	}
	if got, err := os.ReadFile(filepath.Join(data, "manifest.json")); err != nil || string(got) != "{}" {
		t.Errorf("Collect touched the files: %q, %v", got, err)
	}
}

func bytesBelow(t *testing.T, dir string) (n int64) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAddDirRemembers changes a file behind the store's back, with its size and time as before: it is not read again.
func TestAddDirRemembers(t *testing.T) {
	data := t.TempDir()
	paths := writeFiles(t, data, map[string]string{"a": "one", "b": "two"})
	s := openDisk(t, t.TempDir(), Options{})
	add := func() string {
		t.Helper()
		id, err := s.AddDir(t.Context(), "shards", data, paths)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := add()
	info, err := os.Stat(filepath.Join(data, "a"))
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, data, map[string]string{"a": "eno"})
	if err := os.Chtimes(filepath.Join(data, "a"), time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if again := add(); again != first {
		t.Error("the files were read again")
	}
	if _, err := s.Verify(t.Context(), first); !errors.Is(err, checkpoint.ErrCorrupt) {
		t.Errorf("a changed file: error %v", err)
	}
	writeFiles(t, data, map[string]string{"a": "three"})
	other := add()
	if pins, err := s.Pins(t.Context()); err != nil || len(pins) != 1 || pins[0] != (checkpoint.Pin{CID: other, Name: "shards"}) {
		t.Errorf("pins %v, error %v", pins, err)
	}
	if _, err := s.Verify(t.Context(), other); err != nil {
		t.Error(err)
	}
	moved := t.TempDir()
	writeFiles(t, moved, map[string]string{"a": "three", "b": "two"})
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), other); !errors.Is(err, checkpoint.ErrCorrupt) {
		t.Errorf("files gone: error %v", err)
	}
	data = moved
	if same := add(); same != other {
		t.Errorf("CID %s, want %s", same, other)
	}
	if _, err := s.Verify(t.Context(), other); err != nil {
		t.Errorf("after adding the moved files: %v", err)
	}
	for _, bad := range []string{"../a", "/a", "", "missing"} {
		if _, err := s.AddDir(t.Context(), "bad", data, []string{bad}); err == nil {
			t.Errorf("%q was added", bad)
		}
	}
}

func TestChangedFilesAreNotServed(t *testing.T) {
	a, b := goOnline(t, Options{}), goOnline(t, Options{})
	data := t.TempDir()
	paths := writeFiles(t, data, map[string]string{"a": storetest.Random(1, 1<<20)})
	id, err := a.AddDir(t.Context(), "shards", data, paths)
	if err != nil {
		t.Fatal(err)
	}
	changed := []byte(storetest.Random(1, 1<<20))
	changed[600<<10] ^= 1
	if err := os.WriteFile(filepath.Join(data, "a"), changed, 0o644); err != nil {
		t.Fatal(err)
	}
	dial(t, b.host, a.host)
	_, err = b.Fetch(t.Context(), id, FetchOptions{Idle: 300 * time.Millisecond})
	if !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if u := b.x.Traffic(); u.Strange > 0 || u.Received < 3*ChunkSize {
		t.Errorf("traffic %+v", u)
	}
	if _, err := a.AddDir(t.Context(), "shards", data, paths); err != nil {
		t.Fatal(err)
	}
}
