package shards

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	// ManifestName is the file of a folder of token shards that holds their manifest.
	ManifestName = "manifest.json"
	// MaxManifest is the most bytes that it may have. A manifest within the other limits has fewer.
	MaxManifest = 16 << 20

	manifestVersion = 1
	maxShards       = 1 << 15
	maxInputs       = 1 << 14
	maxInputBytes   = 1 << 48 // of one text file, so that no sum overflows
)

// Manifest describes a folder of token shards: what text they were made of, and what each must hold. The same text and
// tokenizer give the same Manifest on every machine; no path of the machine is in it.
type Manifest struct {
	Version   int     `json:"version"`
	Corpus    string  `json:"corpus"` // data.source without folders, for people; the inputs say which text it was
	Tokenizer string  `json:"tokenizer"`
	Vocab     int     `json:"vocab"`
	Tokens    uint64  `json:"tokens"` // of all shards together
	Inputs    []Input `json:"inputs"` // in the order of the tokens
	Shards    []Shard `json:"shards"` // in the order of the tokens
}

// Input is one text file.
type Input struct {
	Name   string `json:"name"` // without its folder, for people
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// Shard is one file of tokens beside the manifest.
type Shard struct {
	File   string `json:"file"`
	Tokens int    `json:"tokens"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // of the whole file, hexadecimal
}

// ReadManifest reads the manifest of a folder. It wraps ErrCorrupt if the content is not valid and fs.ErrNotExist if
// there is none; whether the shards are there is for Open and Verify to say.
func ReadManifest(dir string) (*Manifest, error) {
	f, err := os.Open(filepath.Join(dir, ManifestName))
	if err != nil {
		return nil, fmt.Errorf("open token shards in %s (make them with `skein data prepare`): %w", dir, err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, MaxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("read manifest in %s: %w", dir, err)
	}
	m, err := DecodeManifest(src)
	if err != nil {
		return nil, fmt.Errorf("manifest in %s: %w; delete the folder and run `skein data prepare`", dir, err)
	}
	return m, nil
}

// DecodeManifest takes exactly the bytes that Encode writes for a valid Manifest, from whomever they are; all others are an
// error that wraps ErrCorrupt. It allocates a small multiple of the bytes.
func DecodeManifest(b []byte) (*Manifest, error) {
	m, err := parseManifest(b)
	if err == nil {
		err = m.validate()
	}
	if err == nil && !bytes.Equal(b, m.Encode()) { // keys twice, keys missing, other orders, spaces, cases, escapes
		err = errors.New("not in the canonical form")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return m, nil
}

func parseManifest(b []byte) (*Manifest, error) {
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("%d bytes, more than %d", len(b), MaxManifest)
	}
	m := &Manifest{}
	raw := struct { // the lists shadow those of the manifest: they are decoded with a limit
		*Manifest
		Inputs json.RawMessage `json:"inputs"`
		Shards json.RawMessage `json:"shards"`
	}{Manifest: m}
	err := json.Unmarshal(b, &raw)
	if err == nil {
		m.Inputs, err = parseList[Input](raw.Inputs, maxInputs)
	}
	if err == nil {
		m.Shards, err = parseList[Shard](raw.Shards, maxShards)
	}
	return m, err
}

// parseList decodes a JSON array of at most limit elements: a short "{}" must not buy many a large one.
func parseList[T any](raw json.RawMessage, limit int) ([]T, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, errors.New("inputs or shards are no list")
	}
	var out []T
	for d.More() {
		if len(out) == limit {
			return nil, fmt.Errorf("more than %d inputs or shards", limit)
		}
		var v T
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Encode is the one encoding of a valid Manifest, as on disk: docs/wire.md has the rule.
func (m *Manifest) Encode() []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		panic(fmt.Sprintf("shards: a manifest is strings and integers, which JSON can hold: %v", err))
	}
	return out.Bytes()
}

// Hash names the manifest, and through it every token: the SHA-256 of Encode.
func (m *Manifest) Hash() [sha256.Size]byte { return sha256.Sum256(m.Encode()) }

func (m *Manifest) validate() error {
	switch vocab := vocabOf(m.Tokenizer); {
	case m.Version != manifestVersion:
		return fmt.Errorf("version %d, this program reads %d", m.Version, manifestVersion)
	case !isLabel(m.Corpus):
		return fmt.Errorf("corpus %.300q is no label", m.Corpus)
	case vocab == 0:
		return fmt.Errorf("tokenizer %.300q is not known", m.Tokenizer)
	case m.Vocab != vocab:
		return fmt.Errorf("vocabulary of %d, tokenizer %s has %d", m.Vocab, m.Tokenizer, vocab)
	case len(m.Inputs) < 1 || len(m.Inputs) > maxInputs:
		return fmt.Errorf("%d inputs, expected 1 to %d", len(m.Inputs), maxInputs)
	case len(m.Shards) < 1 || len(m.Shards) > maxShards:
		return fmt.Errorf("%d shards, expected 1 to %d", len(m.Shards), maxShards)
	}
	for _, in := range m.Inputs {
		if in.Bytes < 0 || in.Bytes > maxInputBytes || !isSHA256(in.SHA256) || !isLabel(in.Name) {
			return fmt.Errorf("input %.300q: %d bytes, sha256 %.80q", in.Name, in.Bytes, in.SHA256)
		}
	}
	sum := uint64(0)
	for i, s := range m.Shards {
		switch {
		case s.File != shardName(i): // no path can leave the folder
			return fmt.Errorf("shard %d is called %.300q, expected %s", i, s.File, shardName(i))
		case s.Tokens < 1 || s.Tokens > maxShardTokens || s.Bytes != shardSize(s.Tokens):
			return fmt.Errorf("%s: %d tokens in %d bytes", s.File, s.Tokens, s.Bytes)
		case !isSHA256(s.SHA256):
			return fmt.Errorf("%s: sha256 %.80q", s.File, s.SHA256)
		}
		sum += uint64(s.Tokens)
	}
	if sum != m.Tokens {
		return fmt.Errorf("%d tokens, the shards have %d", m.Tokens, sum)
	}
	return nil
}

// isSHA256 tells whether s is 64 lower-case hexadecimal digits.
func isSHA256(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

func shardName(i int) string { return fmt.Sprintf("shard_%06d.bin", i) }
