package shards

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// remote is a source of shards in memory that notes what is read, in order, and fails while it is told to.
type remote struct {
	files  [][]byte
	mu     sync.Mutex
	reads  []Range
	opened []int
	closed int
	broken error
}

func (r *remote) at(shard int) (io.ReaderAt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened = append(r.opened, shard)
	return &remoteFile{r, shard}, nil
}

type remoteFile struct {
	*remote
	shard int
}

func (f *remoteFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return 0, f.broken
	}
	f.reads = append(f.reads, Range{f.shard, off, off + int64(len(p))})
	n, err := bytes.NewReader(f.files[f.shard]).ReadAt(p, off)
	if err == nil && off+int64(n) == int64(len(f.files[f.shard])) {
		err = io.EOF // as a ReaderAt may
	}
	return n, err
}

func (f *remoteFile) Close() error { f.closed++; return nil }

// published is the manifest and the shards of n random bytes, 100 tokens each.
func published(t testing.TB, n int) (*Manifest, *remote) {
	t.Helper()
	dir, _ := prepared(t, n)
	m, err := ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &remote{}
	for _, s := range m.Shards {
		b, err := os.ReadFile(filepath.Join(dir, s.File))
		if err != nil {
			t.Fatal(err)
		}
		r.files = append(r.files, b)
	}
	return m, r
}

// unmerged joins reads as Needs does, the dumb way: byte by byte.
func unmerged(reads []Range) []Range {
	type place struct {
		shard int
		at    int64
	}
	turn, first := map[place]int{}, 0
	for _, r := range reads {
		for at := r.Lo; at < r.Hi; at++ {
			if _, ok := turn[place{r.Shard, at}]; !ok {
				turn[place{r.Shard, at}] = first
				first++
			}
		}
	}
	var out []Range
	var turns []int
	for shard := range 24 { // 2347 tokens
		for at := range shardSize(100) {
			now, ok := turn[place{shard, at}]
			_, before := turn[place{shard, at - 1}]
			switch {
			case ok && before:
				out[len(out)-1].Hi++
				turns[len(turns)-1] = min(turns[len(turns)-1], now)
			case ok:
				out, turns = append(out, Range{shard, at, at + 1}), append(turns, now)
			}
		}
	}
	index := make([]int, len(out))
	for i := range index {
		index[i] = i
	}
	slices.SortFunc(index, func(a, b int) int { return turns[a] - turns[b] })
	sorted := make([]Range, len(out))
	for i, j := range index {
		sorted[i] = out[j]
	}
	return sorted
}

// Needs is what Sequence reads, in the order in which it does, and nothing is read to know it.
func TestNeedsIsWhatIsRead(t *testing.T) {
	m, files := published(t, 2347)
	rapid.Check(t, func(t *rapid.T) {
		r := &remote{files: files.files}
		seqLen := rapid.IntRange(1, 230).Draw(t, "seq_len")
		d, err := OpenFrom(m, r.at, Options{SeqLen: seqLen, Seed: rapid.Uint64().Draw(t, "seed"), ValFraction: 0.2})
		if err != nil {
			t.Fatal(err)
		}
		start, count := rapid.Uint64().Draw(t, "start"), rapid.Uint64Range(0, 40).Draw(t, "count")
		start = min(start, math.MaxUint64-count)
		needs := d.Needs(start, count)
		validations := rapid.IntRange(0, d.Validations()).Draw(t, "validations")
		also := d.NeedsValidation(validations)
		if len(r.opened) > 0 {
			t.Fatal("needs were read, not computed")
		}
		dst := make([]int32, seqLen+1)
		for p := range count {
			if err := d.Sequence(dst, start+p); err != nil {
				t.Fatal(err)
			}
		}
		if got := unmerged(r.reads); !slices.Equal(got, needs) {
			t.Fatalf("positions %d + %d: read %v, needs %v", start, count, got, needs)
		}
		r.reads, d.files = nil, make([]file, len(d.files))
		for i := range validations {
			if err := d.Validation(dst, i); err != nil {
				t.Fatal(err)
			}
		}
		if got := unmerged(r.reads); !slices.Equal(got, also) {
			t.Fatalf("%d validations: read %v, needs %v", validations, got, also)
		}
	})
}

// However much is asked for, an epoch is all there is.
func TestNeedsOfEverything(t *testing.T) {
	m, r := published(t, 2347)
	d, err := OpenFrom(m, r.at, Options{SeqLen: 16, ValFraction: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	total := func(rs []Range) (n int64) {
		for _, r := range rs {
			n += r.Hi - r.Lo
		}
		return n
	}
	tokens := int64(d.Windows()*16 + 1)
	touched := (tokens + 99) / 100
	if got, want := total(d.Needs(3, math.MaxUint64)), touched*shardHeaderSize+2*tokens; got != want {
		t.Errorf("an epoch needs %d bytes, want %d", got, want)
	}
	if got := d.Needs(math.MaxUint64, math.MaxUint64); len(got) > 0 {
		t.Errorf("behind the end of the stream: %v", got)
	}
	if got, want := d.NeedsValidation(1<<40), d.NeedsValidation(d.Validations()); !slices.Equal(got, want) || len(got) == 0 {
		t.Errorf("all validations: %v, want %v", got, want)
	}
	if got := d.NeedsValidation(-1); len(got) > 0 {
		t.Errorf("no validation: %v", got)
	}
}

// A joiner that trains on a part of the corpus needs no more of it than two groups of chunks and the headers.
func TestNeedsAreLocal(t *testing.T) {
	const shardTokens, shardCount, seqLen = 1 << 24, 8, 1024
	m := &Manifest{
		Version: manifestVersion, Corpus: "large", Tokenizer: "gpt2", Vocab: gpt2Vocab, Tokens: shardTokens * shardCount,
		Inputs: []Input{{"a.txt", 1, strings.Repeat("0", 64)}},
	}
	for i := range shardCount {
		m.Shards = append(m.Shards, Shard{shardName(i), shardTokens, shardSize(shardTokens), strings.Repeat("0", 64)})
	}
	d, err := OpenFrom(m, nil, Options{SeqLen: seqLen, Seed: 1337})
	if err != nil {
		t.Fatal(err)
	}
	chunk := map[[2]int64]bool{}
	for _, r := range d.Needs(40000, 8192) { // as many as a group has
		for at := r.Lo; at < r.Hi-2; at += 2 * seqLen { // the target of a chunk's last token is the next one's first
			if at > 0 {
				chunk[[2]int64{int64(r.Shard), (at - shardHeaderSize) >> 20}] = true
			}
		}
	}
	if len(chunk) != 32 {
		t.Errorf("a group's worth of positions across a border needs %d chunks of %d, want 32", len(chunk), shardTokens*shardCount/chunkTokens)
	}
}

// What goes wrong on the way comes back with shard and range, and can be tried again.
func TestSourceErrors(t *testing.T) {
	m, r := published(t, 500)
	d, err := OpenFrom(m, r.at, Options{SeqLen: 8})
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]int32, 9)
	want := func(err, is error, words ...string) {
		t.Helper()
		if !errors.Is(err, is) {
			t.Fatalf("%v, want %v", err, is)
		}
		for _, w := range append(words, "token shard shard_00000", ", bytes ") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("no %q in %q", w, err)
			}
		}
	}
	r.broken = iotest.ErrTimeout
	want(d.Sequence(dst, 0), iotest.ErrTimeout, "header")
	if r.closed != 1 {
		t.Errorf("the shard that could not be read was closed %d times", r.closed)
	}
	r.broken = nil
	if err := d.Sequence(dst, 0); err != nil {
		t.Fatalf("the second try: %v", err)
	}
	r.broken = io.ErrUnexpectedEOF
	want(d.Sequence(dst, 0), io.ErrUnexpectedEOF)
	r.broken = io.EOF
	want(d.Sequence(dst, 0), ErrCorrupt, "the file ends")
	r.broken = nil
	for i := range r.files {
		r.files[i] = r.files[i][:shardHeaderSize+1]
	}
	want(d.Sequence(dst, 0), ErrCorrupt, "the file ends")

	gone := errors.New("no peer has it")
	d, err = OpenFrom(m, func(int) (io.ReaderAt, error) { return nil, gone }, Options{SeqLen: 8})
	if err != nil {
		t.Fatal(err)
	}
	want(d.Sequence(dst, 0), gone)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	m.Tokens++
	if _, err := OpenFrom(m, r.at, Options{SeqLen: 8}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a manifest that does not add up: %v", err)
	}
}

// Every shard is asked for once, by however many readers, and closed once.
func TestSourceIsShared(t *testing.T) {
	m, r := published(t, 3000)
	d, err := OpenFrom(m, r.at, Options{SeqLen: 64})
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for w := range uint64(4) {
		readers.Go(func() {
			dst := make([]int32, 65)
			for g := range d.Windows() {
				if err := d.Sequence(dst, g*(w+1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	readers.Wait()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(r.opened); len(r.opened) != len(m.Shards) || len(slices.Compact(r.opened)) != len(m.Shards) || r.closed != len(m.Shards) {
		t.Errorf("%d shards: %d opened, %d closed", len(m.Shards), len(r.opened), r.closed)
	}
}
