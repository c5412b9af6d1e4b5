package ipfs

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/storetest"
)

func TestSourceReadsBesideTheOpenStore(t *testing.T) {
	dir, content := t.TempDir(), storetest.Random(1, 600<<10)
	if _, err := OpenSource(dir); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("no store: error %v", err)
	}
	s := openDisk(t, dir, Options{})
	source, err := OpenSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Add(t.Context(), "a", storetest.Files(map[string]string{"f": content}))
	if err != nil {
		t.Fatal(err)
	}
	want, wantErr := s.Verify(t.Context(), id)
	if got, err := source.Verify(t.Context(), id); err != nil || got != want {
		t.Errorf("%+v, error %v; the store says %+v, error %v", got, err, want, wantErr)
	}
	folder, err := source.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := fs.ReadFile(folder, "f"); err != nil || string(b) != content {
		t.Errorf("%d bytes, error %v", len(b), err)
	}
	if err := s.Unpin(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Open(t.Context(), id); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("a collected folder: error %v", err)
	}
}
