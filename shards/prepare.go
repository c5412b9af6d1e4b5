package shards

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skein-train/skein/internal/durable"
)

// DefaultShardTokens makes shards of 32 MiB.
const DefaultShardTokens = 1 << 24

// Spec says what to make token shards of.
type Spec struct {
	Source      string // data.source: a named corpus, or files and globs separated by spaces
	Tokenizer   string // see Tokenizers
	ShardTokens int    // tokens per shard but for the last; 0 means DefaultShardTokens
}

// Prepare makes the token shards of spec in dir, which it creates, and returns their manifest. It hashes the text; if dir
// already holds shards of that very text, of the right sizes, they are used as they are. A call that was interrupted is
// taken up behind the last shard that it finished. progress, unless nil, is told the bytes of text done and in all.
//
// Documents (files) are joined by the tokenizer's separator; files without a byte are left out.
func Prepare(ctx context.Context, spec Spec, dir string, progress func(done, total int64)) (*Manifest, error) {
	return prepare(ctx, spec, dir, blockSize, progress)
}

func prepare(ctx context.Context, spec Spec, dir string, block int, progress func(done, total int64)) (*Manifest, error) {
	tok, err := NewTokenizer(spec.Tokenizer)
	if err != nil {
		return nil, err
	}
	text, err := resolve(ctx, spec.Source)
	if err != nil {
		return nil, err
	}
	inputs, err := hashInputs(ctx, text)
	if err != nil {
		return nil, err
	}
	fresh := &Manifest{Version: manifestVersion, Corpus: text.label, Tokenizer: tok.Name(), Vocab: tok.Vocab(), Inputs: inputs}
	if m, err := ReadManifest(dir); err == nil && m.sameText(fresh) && m.checkSizes(dir) == nil {
		return m, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder for token shards: %w", err)
	}
	b := &builder{dir: dir, tok: tok, limit: spec.ShardTokens, block: block, manifest: fresh, files: text.files, progress: progress}
	if b.limit <= 0 || b.limit > maxShardTokens {
		b.limit = DefaultShardTokens
	}
	return b.build(ctx)
}

// hashInputs reads every file once. Files of a named corpus must have the hash that the corpus is known by.
func hashInputs(ctx context.Context, t text) ([]Input, error) {
	if len(t.files) > maxInputs {
		return nil, fmt.Errorf("data.source names %d text files, more than %d: join some", len(t.files), maxInputs)
	}
	var out []Input
	for _, path := range t.files {
		sum, n, err := hashFile(ctx, path)
		if err != nil {
			return nil, err
		}
		if t.expect != "" && sum != t.expect {
			return nil, fmt.Errorf("%s has the sha256 %s, the corpus is known by %s: delete the file so that it is fetched again", path, sum, t.expect)
		}
		out = append(out, Input{Name: label(path), Bytes: n, SHA256: sum})
	}
	return out, nil
}

// hashFile returns the SHA-256 of a file in hexadecimal, and its size in bytes.
func hashFile(ctx context.Context, path string) (sum string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("hash: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), size, nil
		}
		if err != nil {
			return "", 0, fmt.Errorf("hash: %w", err)
		}
	}
}

// sameText tells whether two manifests are about the same tokens.
func (m *Manifest) sameText(o *Manifest) bool {
	return m.Tokenizer == o.Tokenizer && m.Vocab == o.Vocab && m.Corpus == o.Corpus && slices.Equal(m.Inputs, o.Inputs)
}

// cursor is where the tokens behind the last finished shard begin: Skip tokens into the block that starts at byte Offset
// of input Input.
type cursor struct {
	Input  int   `json:"input"`
	Offset int64 `json:"offset"`
	Skip   int   `json:"skip"`
}

// journal is written after every shard; an interrupted Prepare goes on from it.
type journal struct {
	Manifest *Manifest `json:"manifest"`
	Cursor   cursor    `json:"cursor"`
}

const journalName = "prepare.json"

// resume takes over the journal of an interrupted call if it is about the same text and its shards are there.
func (b *builder) resume() cursor {
	src, err := os.ReadFile(filepath.Join(b.dir, journalName))
	if err != nil {
		return cursor{}
	}
	j := journal{}
	if json.Unmarshal(src, &j) != nil || j.Manifest == nil || j.Manifest.validate() != nil || !j.Manifest.sameText(b.manifest) {
		return cursor{}
	}
	at := j.Cursor
	sane := at.Input >= 0 && at.Input < len(b.files) && at.Offset >= 0 && at.Skip >= 0
	full := !slices.ContainsFunc(j.Manifest.Shards, func(s Shard) bool { return s.Tokens != b.limit })
	if !sane || !full || j.Manifest.checkSizes(b.dir) != nil {
		return cursor{}
	}
	b.manifest = j.Manifest
	return at
}

// discard removes what is no part of the manifest: shards of another text, files that a crash left half-written.
func (b *builder) discard() {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		known := slices.ContainsFunc(b.manifest.Shards, func(s Shard) bool { return s.File == e.Name() })
		if !known && strings.HasPrefix(e.Name(), "shard_") || durable.IsTemp(e.Name()) || e.Name() == journalName {
			os.Remove(filepath.Join(b.dir, e.Name())) // a leftover costs room, nothing else
		}
	}
}
