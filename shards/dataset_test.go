package shards

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/skein-train/skein/internal/racetest"
)

// prepared makes a data set of n random bytes in shards of 100 tokens.
func prepared(t testing.TB, n int) (dir string, text []byte) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	text = make([]byte, n)
	for i := range text {
		text[i] = byte(r.Uint32())
	}
	dir = t.TempDir()
	source := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(source, text, 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "shards")
	if _, err := Prepare(t.Context(), Spec{source, "byte", 100}, out, nil); err != nil {
		t.Fatal(err)
	}
	return out, text
}

func opened(t testing.TB, dir string, o Options) *Dataset {
	t.Helper()
	d, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// Over one epoch every training window comes up once, over all indices every validation window; each is the text at its
// place, whatever shards it lies in, and the two splits share no input.
func TestDatasetServesEveryWindowOnce(t *testing.T) {
	const n, seqLen = 2347, 16
	dir, text := prepared(t, n)
	d := opened(t, dir, Options{SeqLen: seqLen, Seed: 9, ValFraction: 0.1})
	train := n - 235 // a tenth, rounded
	if d.Windows() != uint64(train-1)/seqLen || d.Validations() != 234/seqLen || d.Vocab() != 256 || d.SeqLen() != seqLen {
		t.Fatalf("%d windows, %d validations, vocabulary %d, seq_len %d", d.Windows(), d.Validations(), d.Vocab(), d.SeqLen())
	}
	seen := map[int]int{}
	dst := make([]int32, seqLen+1)
	check := func(lo, hi int) {
		t.Helper()
		raw := make([]byte, len(dst))
		for i, id := range dst {
			raw[i] = byte(id)
		}
		at := bytes.Index(text[lo:hi], raw)
		if at < 0 || at%seqLen != 0 {
			t.Fatalf("sequence %v is no window of [%d, %d)", dst, lo, hi)
		}
		seen[lo+at]++
	}
	for epoch := range uint64(2) {
		for g := range d.Windows() {
			if err := d.Sequence(dst, epoch*d.Windows()+g); err != nil {
				t.Fatal(err)
			}
			check(0, train)
		}
	}
	for i := range d.Validations() {
		if err := d.Validation(dst, i); err != nil {
			t.Fatal(err)
		}
		check(train, n)
	}
	if len(seen) != int(d.Windows())+d.Validations() {
		t.Fatalf("%d windows seen", len(seen))
	}
	for at, times := range seen {
		if want := map[bool]int{true: 2, false: 1}[at < train]; times != want {
			t.Fatalf("the window at %d came up %d times, want %d", at, times, want)
		}
	}
}

// The order depends on the seed for training and on nothing for validation.
func TestDatasetOrder(t *testing.T) {
	dir, _ := prepared(t, 5000)
	first := func(seed uint64) (train, validation []int32) {
		d := opened(t, dir, Options{SeqLen: 8, Seed: seed, ValFraction: 0.2})
		for i := range 10 {
			dst := make([]int32, 9)
			if err := d.Sequence(dst, uint64(i)); err != nil {
				t.Fatal(err)
			}
			train = append(train, dst...)
			if err := d.Validation(dst, i); err != nil {
				t.Fatal(err)
			}
			validation = append(validation, dst...)
		}
		return train, validation
	}
	a, va := first(1)
	b, vb := first(1)
	c, vc := first(2)
	if !slices.Equal(a, b) || slices.Equal(a, c) || !slices.Equal(va, vb) || !slices.Equal(va, vc) {
		t.Fatal("want the training order to follow the seed, the validation order to be fixed")
	}
}

func TestDatasetIsShared(t *testing.T) {
	dir, _ := prepared(t, 3000)
	d := opened(t, dir, Options{SeqLen: 64})
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			dst := make([]int32, 65)
			for g := range uint64(300) {
				if err := d.Sequence(dst, g*uint64(w+1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestDatasetErrors(t *testing.T) {
	dir, _ := prepared(t, 500)
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{SeqLen: 500}, "fewer than one sequence of data.seq_len 500"},
		{Options{SeqLen: 64, ValFraction: 0.05}, "raise data.val_fraction"},
		{Options{SeqLen: 0}, "seq_len 0"},
		{Options{SeqLen: 8, ValFraction: 1}, "val_fraction 1"},
	} {
		if _, err := Open(dir, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q in it", c.o, err, c.want)
		}
	}
	d := opened(t, dir, Options{SeqLen: 8, ValFraction: 0.2})
	if err := d.Sequence(make([]int32, 8), 0); err == nil {
		t.Error("a short buffer was filled")
	}
	for _, i := range []int{-1, d.Validations()} {
		if err := d.Validation(make([]int32, 9), i); err == nil {
			t.Errorf("validation sequence %d exists", i)
		}
	}
}

// Whatever happens to a shard on disk is found when it is opened, verified or read.
func TestDamagedShards(t *testing.T) {
	damage := func(name string, at int64, b []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt(b, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, string)
		opens  bool
	}{
		"magic":    {damage(shardName(0), 0, []byte{1}), false},
		"version":  {damage(shardName(1), 4, []byte{7}), false},
		"count":    {damage(shardName(1), 8, []byte{99}), false},
		"longer":   {damage(shardName(1), 1024+200, []byte{0}), false},
		"token":    {damage(shardName(2), 1024, []byte{0, 1}), true},
		"bit":      {damage(shardName(2), 1030, []byte{255}), true},
		"manifest": {damage(ManifestName, 0, []byte("[")), false},
		"missing": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, shardName(3))); err != nil {
				t.Fatal(err)
			}
		}, false},
		"short": {func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, shardName(3)), 1000); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := prepared(t, 500)
			c.damage(t, dir)
			d, err := Open(dir, Options{SeqLen: 8})
			if c.opens != (err == nil) {
				t.Fatalf("opened: %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "skein data prepare") {
				t.Errorf("no remedy in %q", err)
			}
			if _, err := Verify(t.Context(), dir, nil); err == nil {
				t.Error("Verify found nothing")
			}
			if d == nil {
				return
			}
			defer d.Close()
			for g := range d.Windows() {
				if err := d.Sequence(make([]int32, 9), g); err != nil && !errors.Is(err, ErrCorrupt) {
					t.Errorf("window %d: %v", g, err)
				}
			}
		})
	}
}

// The corpus of the run files is where it should be, and as long as their comments say.
func TestEnwik7(t *testing.T) {
	dir := t.TempDir()
	m, err := Prepare(t.Context(), Spec{"enwik7", "byte", 0}, dir, nil)
	if err != nil {
		t.Skipf("the corpus is not on this machine: %v", err)
	}
	d := opened(t, dir, Options{SeqLen: 128, Seed: 1337, ValFraction: 0.05})
	if m.Tokens != 10_000_000 || d.Windows() != 74218 || d.Validations() != 3906 {
		t.Fatalf("%d tokens, %d windows, %d validations", m.Tokens, d.Windows(), d.Validations())
	}
}

func TestSequenceAllocatesNothing(t *testing.T) {
	dir, _ := prepared(t, 3000)
	d := opened(t, dir, Options{SeqLen: 64})
	dst, g := make([]int32, 65), uint64(0)
	if n := testing.AllocsPerRun(200, func() {
		if err := d.Sequence(dst, g); err != nil {
			t.Fatal(err)
		}
		g++
	}); n >= 1 && !racetest.Enabled { // a pool drops at random there
		t.Errorf("%v allocations per sequence", n)
	}
}

func BenchmarkSequence(b *testing.B) {
	dir, _ := prepared(b, 30000)
	d := opened(b, dir, Options{SeqLen: 128})
	dst, g := make([]int32, 129), uint64(0)
	for b.Loop() {
		if err := d.Sequence(dst, g); err != nil {
			b.Fatal(err)
		}
		g++
	}
}

func FuzzShardHeader(f *testing.F) {
	f.Add(append(appendShardHeader(nil, 1), 0, 0), 1)
	f.Add([]byte{}, 0)
	f.Add(appendShardHeader(nil, 1<<29), 1<<28)
	f.Fuzz(func(t *testing.T, header []byte, tokens int) {
		err := checkShardHeader(header, tokens)
		if err == nil && !bytes.Equal(appendShardHeader(nil, tokens)[:12], header[:12]) {
			t.Fatalf("accepted for %d tokens", tokens)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
}
