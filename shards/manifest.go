package shards

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	manifestName    = "manifest.json"
	manifestVersion = 1
	maxManifest     = 8 << 20 // bytes
	maxShards       = 1 << 15
)

// Manifest describes a folder of token shards: what text they were made of, and what each must hold. The same text and
// tokenizer give the same Manifest on every machine.
type Manifest struct {
	Version   int     `json:"version"`
	Corpus    string  `json:"corpus"` // data.source as it was given
	Tokenizer string  `json:"tokenizer"`
	Vocab     int     `json:"vocab"`
	Tokens    uint64  `json:"tokens"` // of all shards together
	Inputs    []Input `json:"inputs"` // in the order of the tokens
	Shards    []Shard `json:"shards"` // in the order of the tokens
}

// Input is one text file.
type Input struct {
	Name   string `json:"name"` // without its folder
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
	f, err := os.Open(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, fmt.Errorf("open token shards in %s (make them with `skein data prepare`): %w", dir, err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("read manifest in %s: %w", dir, err)
	}
	m, err := parseManifest(src)
	if err != nil {
		return nil, fmt.Errorf("manifest in %s: %w; delete the folder and run `skein data prepare`", dir, err)
	}
	return m, nil
}

// parseManifest decodes hostile bytes.
func parseManifest(src []byte) (*Manifest, error) {
	if len(src) > maxManifest {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrCorrupt, maxManifest)
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.DisallowUnknownFields()
	m := &Manifest{}
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the JSON object", ErrCorrupt)
	}
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return m, nil
}

func (m *Manifest) validate() error {
	switch {
	case m.Version != manifestVersion:
		return fmt.Errorf("version %d, this program reads %d", m.Version, manifestVersion)
	case !slices.Contains(Tokenizers(), m.Tokenizer):
		return fmt.Errorf("tokenizer %q is not known", m.Tokenizer)
	case m.Vocab < 1 || m.Vocab > 1<<16:
		return fmt.Errorf("vocabulary of %d, expected 1 to 65536", m.Vocab)
	case len(m.Shards) < 1 || len(m.Shards) > maxShards:
		return fmt.Errorf("%d shards, expected 1 to %d", len(m.Shards), maxShards)
	}
	sum := uint64(0)
	for i, s := range m.Shards {
		switch {
		case s.File != shardName(i): // no path can leave the folder
			return fmt.Errorf("shard %d is called %q, expected %s", i, s.File, shardName(i))
		case s.Tokens < 1 || s.Tokens > maxShardTokens || s.Bytes != shardSize(s.Tokens):
			return fmt.Errorf("%s: %d tokens in %d bytes", s.File, s.Tokens, s.Bytes)
		case !isSHA256(s.SHA256):
			return fmt.Errorf("%s: sha256 %q", s.File, s.SHA256)
		}
		sum += uint64(s.Tokens)
	}
	for _, in := range m.Inputs {
		if in.Bytes < 0 || !isSHA256(in.SHA256) || in.Name == "" || strings.ContainsAny(in.Name, `/\`) {
			return fmt.Errorf("input %q: %d bytes, sha256 %q", in.Name, in.Bytes, in.SHA256)
		}
	}
	if sum != m.Tokens {
		return fmt.Errorf("%d tokens, the shards have %d", m.Tokens, sum)
	}
	return nil
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}

func shardName(i int) string { return fmt.Sprintf("shard_%06d.bin", i) }

func (m *Manifest) encode() ([]byte, error) {
	out, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(out, '\n'), nil
}
