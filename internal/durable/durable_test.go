package durable

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// names lists what is in a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a*b.bin") // a star is a character like others
	for _, sync := range []Sync{Crash, Content, Name} {
		for _, parts := range [][][]byte{{[]byte("head"), nil, []byte("body")}, {[]byte("x")}, {}} {
			if err := WriteFile(path, 0o640, sync, parts...); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, bytes.Join(parts, nil)) {
				t.Fatalf("sync %d: %q, %v", sync, got, err)
			}
		}
	}
	if left := names(t, dir); len(left) != 1 {
		t.Fatalf("left behind: %v", left)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", info.Mode())
	}
}

// What cannot be written names the place and leaves nothing behind.
func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none", "a"), filepath.Join(dir, "folder")} {
		if err := os.MkdirAll(filepath.Join(dir, "folder", "full"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(path, 0o644, Name, []byte("x")); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
		if left := names(t, dir); len(left) != 1 {
			t.Errorf("%s: left behind: %v", path, left)
		}
	}
}

// A reader among writers sees one of the contents as a whole.
func TestWriteFileIsOneStep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	content := func(w int) []byte { return bytes.Repeat([]byte{byte('a' + w)}, 5000*(w+1)) }
	if err := WriteFile(path, 0o644, Crash, content(0)); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for range 20 {
				// Windows refuses to replace a file that is open: the reader would see to that.
				if err := WriteFile(path, 0o644, Crash, content(w)); err != nil && runtime.GOOS != "windows" {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if w := int(b[0] - 'a'); !bytes.Equal(b, content(w)) {
			t.Fatalf("%d bytes that start with %q", len(b), b[0])
		}
	}
	writers.Wait()
	if left := names(t, dir); len(left) != 1 {
		t.Fatalf("left behind: %v", left)
	}
}

// The name of an unfinished file is told from finished ones.
func TestIsTemp(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), tempPrefix+"shard_000000.bin.*"+tempSuffix)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string]bool{filepath.Base(f.Name()): true, "shard_000000.bin": false, ".hidden": false, "a.tmp": false} {
		if IsTemp(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
