package shards

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// onDisk reads all tokens the plain way.
func onDisk(t *testing.T, dir string, m *Manifest) []int32 {
	t.Helper()
	var out []int32
	for _, s := range m.Shards {
		b, err := os.ReadFile(filepath.Join(dir, s.File))
		if err != nil {
			t.Fatal(err)
		}
		for b = b[shardHeaderSize:]; len(b) > 0; b = b[tokenSize:] {
			out = append(out, int32(binary.LittleEndian.Uint16(b)))
		}
	}
	return out
}

func same(t *testing.T, got, want []int32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d tokens, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("token %d is %d, want %d", i, got[i], want[i])
		}
	}
}

// Documents are joined by separators, empty ones left out, and blocks and shards leave no trace in the tokens.
func TestPrepareTokens(t *testing.T) {
	texts := t.TempDir()
	docs := []string{"", "The first document, don't you see?\n\n" + strings.Repeat("word ", 50), "", "the second \xff\xfe one", strings.Repeat("x", 300), "\x00"}
	for i, d := range docs {
		write(t, texts, string(rune('a'+i))+".txt", d)
	}
	for _, name := range Tokenizers() {
		tok, err := NewTokenizer(name)
		if err != nil {
			t.Fatal(err)
		}
		var want []int32
		for _, d := range docs {
			if d != "" && want != nil {
				want = append(want, tok.Separator())
			}
			want = tok.Append(want, []byte(d))
		}
		dir := filepath.Join(t.TempDir(), "shards")
		m, err := prepare(t.Context(), Spec{filepath.Join(texts, "*.txt"), name, 37}, dir, 64, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.Tokens != uint64(len(want)) || len(m.Shards) != (len(want)+36)/37 || len(m.Inputs) != len(docs) {
			t.Fatalf("%s: %d tokens in %d shards of %d inputs, want %d", name, m.Tokens, len(m.Shards), len(m.Inputs), len(want))
		}
		same(t, onDisk(t, dir, m), want)
		if _, err := Verify(t.Context(), dir, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// However often and wherever a preparation is interrupted, the shards come out the same, and finished ones are not
// written again.
func TestPrepareResumes(t *testing.T) {
	texts := t.TempDir()
	source := write(t, texts, "a.txt", strings.Repeat("some words to be counted. ", 200)) + " " + write(t, texts, "b.txt", strings.Repeat("and others, not so many. ", 40))
	spec := Spec{source, "gpt2", 150}
	whole := t.TempDir()
	want, err := prepare(t.Context(), spec, whole, 256, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, calls, skipped := t.TempDir(), 0, 0
	for done := false; !done && calls < 100; calls++ {
		before, _ := filepath.Glob(filepath.Join(dir, "shard_*"))
		stamps := map[string]os.FileInfo{}
		for _, path := range before {
			stamps[path], _ = os.Stat(path)
		}
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		m, err := prepare(ctx, spec, dir, 256, func(int64, int64) {
			if steps++; steps == 5 {
				cancel()
			}
		})
		cancel()
		for path, old := range stamps {
			if now, err := os.Stat(path); err != nil || !os.SameFile(old, now) {
				t.Fatalf("%s was written again", path)
			}
			skipped++
		}
		if done = err == nil; !done {
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			continue
		}
		same(t, onDisk(t, dir, m), onDisk(t, whole, want))
	}
	if calls < 3 || skipped == 0 {
		t.Fatalf("%d calls, %d shards kept: the test interrupts nothing", calls, skipped)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != len(want.Shards)+1 {
		t.Fatalf("%d files left, want %d shards and the manifest: %v", len(left), len(want.Shards), left)
	}
}

func TestPrepareReuses(t *testing.T) {
	texts, dir := t.TempDir(), t.TempDir()
	source := write(t, texts, "a.txt", strings.Repeat("text ", 100))
	first, err := Prepare(t.Context(), Spec{source, "byte", 100}, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	reused := func(spec Spec) bool {
		t.Helper()
		worked := false
		m, err := Prepare(t.Context(), spec, dir, func(int64, int64) { worked = true })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(t.Context(), dir, nil); err != nil {
			t.Fatal(err)
		}
		if left, _ := os.ReadDir(dir); len(left) != len(m.Shards)+1 {
			t.Fatalf("%v is left for %d shards", left, len(m.Shards))
		}
		return !worked
	}
	if !reused(Spec{source, "byte", 100}) {
		t.Error("the same text was prepared twice")
	}
	if reused(Spec{source, "gpt2", 100}) {
		t.Error("shards of another tokenizer were taken")
	}
	write(t, texts, "a.txt", strings.Repeat("tuxt ", 100))
	if reused(Spec{source, "gpt2", 100}) {
		t.Error("shards of another text of the same length were taken")
	}
	if err := os.Truncate(filepath.Join(dir, shardName(0)), 5); err != nil {
		t.Fatal(err)
	}
	if reused(Spec{source, "gpt2", 100}) {
		t.Error("a truncated shard was taken")
	}
	if len(first.Shards) != 5 {
		t.Errorf("%d shards, want 5", len(first.Shards))
	}
}

func TestPrepareErrors(t *testing.T) {
	texts := t.TempDir()
	empty := write(t, texts, "empty.txt", "")
	full := write(t, texts, "full.txt", "text")
	for _, c := range []struct{ source, tokenizer, want string }{
		{"enwki7", "byte", "the corpora are enwik7 and opticks"},
		{filepath.Join(texts, "*.md"), "byte", "no file matches"},
		{texts, "byte", "is a folder"},
		{"[", "byte", "pattern"},
		{"  ", "byte", "data.source is empty"},
		{empty, "byte", "hold no text"},
		{full, "bpe", "use one of byte, gpt2"},
	} {
		_, err := Prepare(t.Context(), Spec{c.source, c.tokenizer, 0}, t.TempDir(), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("source %q, tokenizer %s: %v, want %q in it", c.source, c.tokenizer, err, c.want)
		}
	}
	if _, err := Prepare(t.Context(), Spec{full, "byte", 0}, filepath.Join(full, "below"), nil); err == nil || !strings.Contains(err.Error(), "folder for token shards") {
		t.Errorf("a folder below a file: %v", err)
	}
	if _, err := ReadManifest(t.TempDir()); err == nil || !strings.Contains(err.Error(), "skein data prepare") {
		t.Errorf("an empty folder: %v", err)
	}
}

// A machine without Go and with an empty module cache is told what to do.
func TestCorpusWithoutGo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("GOMODCACHE", t.TempDir())
	for _, name := range Corpora() {
		_, err := Prepare(t.Context(), Spec{name, "byte", 0}, t.TempDir(), nil)
		if err == nil || !strings.Contains(err.Error(), "no go command on PATH") || !strings.Contains(err.Error(), "install Go") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file of the right name but with other content is not taken for the corpus.
func TestCorpusWithOtherContent(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("GOMODCACHE", cache)
	dir := filepath.Join(cache, "github.com", "ulikunitz", "xz@v0.5.15", "testdata")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "enwik7", "something else")
	if _, err := Prepare(t.Context(), Spec{"enwik7", "byte", 0}, t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "sha256") {
		t.Fatalf("got %v", err)
	}
}
