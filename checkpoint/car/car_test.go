package car_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/car"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/checkpoint/storetest"
)

func stored(t *testing.T, contents map[string]string) (*ipfs.Store, string) {
	t.Helper()
	s, err := ipfs.Memory(t.Context(), ipfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Add(t.Context(), "test", storetest.Files(contents))
	if err != nil {
		t.Fatal(err)
	}
	return s, id
}

// section reads the length of what follows, and that.
func section(t *testing.T, r *bytes.Reader) []byte {
	t.Helper()
	n, err := binary.ReadUvarint(r)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes are those of `ipfs dag export` of Kubo 0.42.0 for the same folder.
func TestKnownBytes(t *testing.T) {
	s, id := stored(t, map[string]string{"a.txt": "a", "sub/b.txt": "b"})
	var out bytes.Buffer
	if err := car.Write(t.Context(), &out, s, id, nil); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(out.Bytes()); got != knownCAR {
		t.Errorf("%s is written as\n%s", id, got)
	}
}

const knownCAR = "" +
	"3aa265726f6f747381d82a5825000170122014649c411ad867048c7f3f0934263b85e02552b8d0f77fa46ef2c0c7f80e2ccf6776657273696f6e0188" +
	"010170122014649c411ad867048c7f3f0934263b85e02552b8d0f77fa46ef2c0c7f80e2ccf122f0a2401551220ca978112ca1bbdcafac231b39a23dc" +
	"4da786eff8147c4e72b9807785afee48bb1205612e7478741801122d0a24017012200ddd86db48d77b8b01ceec39fcf3c2553ec49e1c8b3f434675a2" +
	"e35ec8b80ddb120373756218360a0208012501551220ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb615901701220" +
	"0ddd86db48d77b8b01ceec39fcf3c2553ec49e1c8b3f434675a2e35ec8b80ddb122f0a24015512203e23e8160039594a33894f6564e1b1348bbd7a00" +
	"88d42c4acb73eeaed59c009d1205622e74787418010a02080125015512203e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c" +
	"009d62"

func TestEveryBlockOnce(t *testing.T) {
	twice := storetest.Random(1, 600<<10) // three leaves and their parent, shared by two files
	s, id := stored(t, map[string]string{"one": twice, "two": twice, "skein/three": storetest.Random(2, 1)})
	var out bytes.Buffer
	var told int64
	if err := car.Write(t.Context(), &out, s, id, func(n int64) { told = n }); err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(out.Bytes())
	section(t, r)
	seen := map[cid.Cid]bool{}
	for r.Len() > 0 {
		_, c, err := cid.CidFromBytes(section(t, r))
		if err != nil || seen[c] {
			t.Fatalf("block %s comes twice, or error %v", c, err)
		}
		seen[c] = true
	}
	use, err := s.Verify(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != use.Blocks || told != use.Bytes {
		t.Errorf("%d blocks, %d bytes; the folder has %+v", len(seen), told, use)
	}
}

func TestExportIsWholeOrNothing(t *testing.T) {
	s, id := stored(t, map[string]string{"model": storetest.Random(1, 3<<20)})
	path := filepath.Join(t.TempDir(), "new", "out.car")
	over, cancel := context.WithCancel(t.Context())
	if err := car.Export(over, s, id, path, func(n int64) {
		if n > 1<<20 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
	const absent = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
	if err := car.Export(t.Context(), s, absent, path, nil); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("absent block: error %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("failed exports left %v, error %v", left, err)
	}
	if err := car.Export(t.Context(), s, id, path, nil); err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := car.Write(t.Context(), &want, s, id, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("the file holds %d bytes, want %d; error %v", len(got), want.Len(), err)
	}
	if err := car.Export(t.Context(), s, id, path, nil); err == nil {
		t.Error("an existing file was overwritten")
	}
}

func TestAChangedBlockIsNotExported(t *testing.T) {
	dir := t.TempDir()
	s, err := ipfs.Open(t.Context(), dir, ipfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Add(t.Context(), "test", storetest.Files(map[string]string{"model": storetest.Random(1, 1<<20)}))
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	blocks, err := filepath.Glob(filepath.Join(dir, "blocks", "*", "*.data"))
	if err != nil || len(blocks) < 5 {
		t.Fatalf("%d blocks, error %v", len(blocks), err)
	}
	for _, b := range blocks {
		content, err := os.ReadFile(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(content) == ipfs.ChunkSize {
			content[0] ^= 1
			if err := os.WriteFile(b, content, 0o644); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	from, err := ipfs.OpenSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "out.car")
	if err := car.Export(t.Context(), from.(car.Blocks), id, path, nil); !errors.Is(err, checkpoint.ErrCorrupt) {
		t.Errorf("error %v, want ErrCorrupt", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
}
