package checkpoint_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/skein-train/skein/checkpoint"
)

func TestExportIsWholeOrNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "new", "out")
	from := fstest.MapFS{"a": {Data: []byte("x")}, "sub/b": {Data: []byte("yy")}}
	if err := checkpoint.Export(t.Context(), from, dir, 2); err == nil {
		t.Error("3 bytes were written where 2 are allowed")
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := checkpoint.Export(over, from, dir, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left := must(os.ReadDir(filepath.Dir(dir)))(t); len(left) > 0 {
		t.Errorf("failed exports left %v", left)
	}
	if err := checkpoint.Export(t.Context(), from, dir, 3); err != nil {
		t.Fatal(err)
	}
	if b := must(os.ReadFile(filepath.Join(dir, "sub", "b")))(t); string(b) != "yy" {
		t.Errorf("%q", b)
	}
	if err := checkpoint.Export(t.Context(), from, dir, 3); err == nil {
		t.Error("an existing folder was overwritten")
	}
}
