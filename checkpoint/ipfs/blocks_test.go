package ipfs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ipfs/go-datastore"
)

func TestAFailedBatchLeavesNoFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blocks")
	d, err := openBlocks(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b, err := d.Batch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), datastore.NewKey("AAAA"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), datastore.NewKey("no key of flatfs"), nil); err == nil {
		t.Fatal("the batch did not fail")
	}
	if left, err := os.ReadDir(filepath.Join(dir, ".temp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}
