package snapshot

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/skein-train/skein/gradients"
)

func save(t testing.TB, f *Files, header string, vecs ...gradients.Vec) {
	t.Helper()
	if err := f.Save([]byte(header), vecs); err != nil {
		t.Fatal(err)
	}
}

func reopen(t testing.TB, dir string) *Files {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func wantLoad(t testing.TB, f *Files, number uint64, header string) *Snapshot {
	t.Helper()
	s, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	if s.Number != number || string(s.Header) != header {
		t.Fatalf("loaded number %d with header %q, want %d with %q", s.Number, s.Header, number, header)
	}
	return s
}

func TestSavesAndLoadsBitForBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var vecs []gradients.Vec
		for _, bits := range rapid.SliceOfN(rapid.SliceOfN(rapid.Uint32(), 0, 50), 0, 5).Draw(t, "vectors") {
			v := make(gradients.Vec, len(bits))
			for i, b := range bits {
				v[i] = math.Float32frombits(b) // every pattern, NaN too
			}
			vecs = append(vecs, v)
		}
		var b bytes.Buffer
		size, err := encode(&b, 7, []byte("header"), vecs)
		if err != nil || size != int64(b.Len()) {
			t.Fatalf("size %d of %d bytes, error %v", size, b.Len(), err)
		}
		s, err := decode(bytes.NewReader(b.Bytes()), size, true)
		if err != nil || s.Number != 7 || string(s.Header) != "header" || len(s.Vectors) != len(vecs) {
			t.Fatalf("%+v, error %v", s, err)
		}
		for i := range vecs {
			if !bytes.Equal(gradients.AppendBytes(nil, vecs[i]), gradients.AppendBytes(nil, s.Vectors[i])) {
				t.Fatalf("vector %d changed", i)
			}
		}
	})
}

func TestVectorsLongerThanAChunk(t *testing.T) {
	v := make(gradients.Vec, 3*chunk/4+5)
	for i := range v {
		v[i] = float32(i)
	}
	f := reopen(t, t.TempDir())
	save(t, f, "long", v, v[:chunk/4])
	s := wantLoad(t, f, 1, "long")
	if len(s.Vectors) != 2 || s.Vectors[0][len(v)-1] != v[len(v)-1] || s.Vectors[1][chunk/4-1] != v[chunk/4-1] {
		t.Fatal("vectors changed")
	}
}

func TestTheNewestWins(t *testing.T) {
	dir := t.TempDir()
	f := reopen(t, dir)
	if _, err := f.Load(); !errors.Is(err, ErrNone) {
		t.Fatalf("error %v, want ErrNone", err)
	}
	for i, header := range []string{"one", "two", "three", "four", "five"} {
		save(t, f, header, gradients.Vec{float32(i)})
		wantLoad(t, reopen(t, dir), uint64(i+1), header)
		f = reopen(t, dir) // a new process knows nothing of the files and must not overwrite the newest
	}
}

// A crash while the very first snapshot is written leaves none, and neither that nor what it left stops the next save.
func TestTornFirstSaveIsNone(t *testing.T) {
	f := reopen(t, t.TempDir())
	if err := os.WriteFile(f.path(0)+".part", []byte("torn, and longer than a whole small snapshot would be: "+strings.Repeat("x", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(); !errors.Is(err, ErrNone) {
		t.Fatalf("error %v, want ErrNone", err)
	}
	save(t, f, "one", gradients.Vec{1})
	wantLoad(t, f, 1, "one")
}

// twoSaves returns a folder with an older and a newer snapshot, and the bytes of the newer one.
func twoSaves(t *testing.T) (dir string, newer []byte) {
	t.Helper()
	dir = t.TempDir()
	f := reopen(t, dir)
	save(t, f, "older", gradients.Vec{1, 2}, gradients.Vec{3})
	save(t, f, "newer", gradients.Vec{4, 5}, gradients.Vec{6})
	newer, err := os.ReadFile(f.path(1))
	if err != nil {
		t.Fatal(err)
	}
	return dir, newer
}

// replace puts other bytes in the place of the newer snapshot.
func replace(t *testing.T, dir string, newer []byte) *Files {
	t.Helper()
	f := reopen(t, dir)
	if err := os.WriteFile(f.path(1), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEveryCutLeavesTheOlder(t *testing.T) {
	dir, newer := twoSaves(t)
	for n := range newer {
		s := wantLoad(t, replace(t, dir, newer[:n]), 1, "older")
		if !errors.Is(s.Damaged, ErrDamaged) {
			t.Fatalf("cut at %d: damage %v is not reported", n, s.Damaged)
		}
	}
}

func TestEveryFlippedBitLeavesTheOlder(t *testing.T) {
	dir, newer := twoSaves(t)
	for bit := range 8 * len(newer) {
		b := bytes.Clone(newer)
		b[bit/8] ^= 1 << (bit % 8)
		s := wantLoad(t, replace(t, dir, b), 1, "older")
		if !errors.Is(s.Damaged, ErrDamaged) {
			t.Fatalf("bit %d: damage %v is not reported", bit, s.Damaged)
		}
	}
}

// A process that dies while it overwrites leaves a mixture of the new file and the one two saves ago.
func TestEveryTornOverwriteLeavesTheNewest(t *testing.T) {
	var next bytes.Buffer
	if _, err := encode(&next, 3, []byte("third"), []gradients.Vec{{7, 8}, {9}}); err != nil {
		t.Fatal(err)
	}
	for n := range next.Len() {
		dir, _ := twoSaves(t)
		w, err := os.OpenFile(filepath.Join(dir, "a.snapshot"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(next.Bytes()[:n]); err != nil {
			t.Fatal(err)
		}
		w.Close()
		f := reopen(t, dir)
		wantLoad(t, f, 2, "newer")
		save(t, f, "third", gradients.Vec{7, 8}, gradients.Vec{9})
		wantLoad(t, reopen(t, dir), 3, "third")
	}
}

func TestSaveGoesOnAfterDamage(t *testing.T) {
	dir, newer := twoSaves(t)
	f := replace(t, dir, newer[:10])
	save(t, f, "again", gradients.Vec{1})
	save(t, f, "and again", gradients.Vec{2})
	wantLoad(t, f, 3, "and again")
}

func TestNoIntactFileIsSaid(t *testing.T) {
	f := reopen(t, t.TempDir())
	for slot := range 2 {
		if err := os.WriteFile(f.path(slot), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Load(); !errors.Is(err, ErrDamaged) {
		t.Fatalf("error %v, want ErrDamaged", err)
	}
	save(t, f, "fresh", gradients.Vec{1})
	wantLoad(t, f, 1, "fresh")
}

func TestRefusesWhatItCouldNotRead(t *testing.T) {
	f := reopen(t, t.TempDir())
	if err := f.Save(make([]byte, MaxHeader+1), nil); err == nil {
		t.Fatal("a header beyond the limit was saved")
	}
	if err := f.Save(nil, make([]gradients.Vec, MaxVectors+1)); err == nil {
		t.Fatal("vectors beyond the limit were saved")
	}
}

func FuzzDecode(f *testing.F) {
	for _, vecs := range [][]gradients.Vec{nil, {{}}, {{1}, {2, 3}}} {
		var b bytes.Buffer
		if _, err := encode(&b, 1, []byte("{}"), vecs); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decode(bytes.NewReader(b), int64(len(b)), true)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("error %v does not wrap ErrDamaged", err)
			}
			return
		}
		var again bytes.Buffer
		if _, err := encode(&again, s.Number, s.Header, s.Vectors); err != nil || !bytes.Equal(again.Bytes(), b) {
			t.Fatalf("an accepted file is not what encode writes (%v)", err)
		}
	})
}

func BenchmarkSave(b *testing.B) {
	v := make(gradients.Vec, 64<<20/4)
	f := reopen(b, b.TempDir())
	b.SetBytes(int64(4 * len(v)))
	for b.Loop() {
		save(b, f, "{}", v)
	}
}

func BenchmarkLoad(b *testing.B) {
	v := make(gradients.Vec, 64<<20/4)
	f := reopen(b, b.TempDir())
	save(b, f, "{}", v)
	b.SetBytes(int64(4 * len(v)))
	for b.Loop() {
		wantLoad(b, f, 1, "{}")
	}
}
