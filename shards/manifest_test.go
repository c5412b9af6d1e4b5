package shards

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/quick"
	"unicode/utf8"
)

const goldenManifest = `{
  "version": 1,
  "corpus": "Krieg & <Frieden>.txt",
  "tokenizer": "byte",
  "vocab": 256,
  "tokens": 5,
  "inputs": [
    {
      "name": "Krieg & <Frieden>.txt",
      "bytes": 5,
      "sha256": "40d2834f4bd7c01eae8b8a7d2c8eb4be2ef2f1d6ae23cdc42a0ae2f1a0b3b5f8"
    }
  ],
  "shards": [
    {
      "file": "shard_000000.bin",
      "tokens": 3,
      "bytes": 1030,
      "sha256": "0000000000000000000000000000000000000000000000000000000000000000"
    },
    {
      "file": "shard_000001.bin",
      "tokens": 2,
      "bytes": 1028,
      "sha256": "1111111111111111111111111111111111111111111111111111111111111111"
    }
  ]
}
`

// The bytes are the format: whoever changes them changes the name of every data set.
func TestManifestGolden(t *testing.T) {
	m, err := DecodeManifest([]byte(goldenManifest))
	if err != nil {
		t.Fatal(err)
	}
	if m.Tokens != 5 || len(m.Inputs) != 1 || m.Shards[1] != (Shard{"shard_000001.bin", 2, 1028, strings.Repeat("1", 64)}) {
		t.Fatalf("%+v", m)
	}
	sum := m.Hash()
	const want = "a9bf5c8b5d657017be732ec087d52d61c04d03fa039b4a401e063165ab6d7ffa"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

// What is not to the letter what Encode writes is refused, with the reason.
func TestDecodeManifestRefuses(t *testing.T) {
	edit := func(old, with string) string {
		if !strings.Contains(goldenManifest, old) {
			t.Fatalf("no %s in the manifest", old)
		}
		return strings.Replace(goldenManifest, old, with, 1)
	}
	for src, want := range map[string]string{
		"":                                   "JSON",
		"null":                               "no list",
		"[]":                                 "array",
		goldenManifest + "{}":                "after top-level value",
		goldenManifest + " ":                 "canonical",
		strings.TrimSpace(goldenManifest):    "canonical",
		edit(`"version": 1`, `"version": 2`): "version 2",
		edit(`"version": 1`, `"version":1`):  "canonical",
		edit(`"version": 1`, `"version": 1, "version": 1`):                    "canonical",
		edit(`"version": 1`, `"version": 1, "more": 1`):                       "canonical",
		edit(`"version": 1`, `"Version": 1`):                                  "canonical",
		edit(`Krieg & `, `Krieg \u0026 `):                                     "canonical",
		edit(`Krieg & `, `/home/leo/`):                                        "no label",
		edit(`Krieg & `, strings.Repeat("a", 300)):                            "no label",
		edit(`"name": "Krieg`, `"name": "\u001b[2J`):                          "input",
		edit(`"name": "Krieg`, `"name": "..\\Krieg`):                          "input",
		edit(`"bytes": 5`, `"bytes": -5`):                                     "input",
		edit(`"bytes": 5`, `"bytes": 281474976710657`):                        "input",
		edit(`"40d2`, `"40D2`):                                                "input",
		edit(`"tokens": 5`, `"tokens": 6`):                                    "the shards have 5",
		edit(`"tokens": 5`, `"tokens": 1e400`):                                "1e400",
		edit(`"tokenizer": "byte"`, `"tokenizer": "bpe"`):                     "not known",
		edit(`"vocab": 256`, `"vocab": 50257`):                                "byte has 256",
		edit(`shard_000001.bin`, `shard_000000.bin`):                          "expected shard_000001.bin",
		edit(`shard_000001.bin`, `../../etc/passwd`):                          "expected shard_000001.bin",
		edit(`"bytes": 1028`, `"bytes": 1029`):                                "2 tokens in 1029 bytes",
		edit(`"sha256": "11`, `"sha256": "1`):                                 "sha256",
		edit(`"shards": [`, `"shards": null, "s": [`):                         "no list",
		edit(`"inputs": [`, `"inputs": [], "s": [`):                           "0 inputs",
		`{"shards":[` + strings.Repeat("{},", maxShards) + `{}],"inputs":[]}`: "more than 32768",
		strings.Repeat(" ", MaxManifest+1):                                    "more than 16777216",
	} {
		m, err := DecodeManifest([]byte(src))
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), want) || m != nil {
			t.Errorf("%.200s:\n%v, want %q", src, err, want)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

// The limits fit each other: what may be said fits into the bytes that may be sent.
func TestLargestManifest(t *testing.T) {
	m := &Manifest{Version: manifestVersion, Corpus: strings.Repeat("c", maxLabel), Tokenizer: "gpt2", Vocab: gpt2Vocab}
	for range maxInputs {
		m.Inputs = append(m.Inputs, Input{strings.Repeat("é", maxLabel/2), maxInputBytes, strings.Repeat("f", 64)})
	}
	for i := range maxShards {
		m.Shards = append(m.Shards, Shard{shardName(i), maxShardTokens, shardSize(maxShardTokens), strings.Repeat("f", 64)})
		m.Tokens += maxShardTokens
	}
	if _, err := DecodeManifest(m.Encode()); err != nil {
		t.Fatalf("%d bytes: %v", len(m.Encode()), err)
	}
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add([]byte(goldenManifest))
	f.Add([]byte(strings.Replace(goldenManifest, "shard_000001.bin", "../../etc/passwd", 1)))
	f.Add([]byte(`{"version":1,"tokens":1e400}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		m, err := DecodeManifest(src)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		sum := uint64(0)
		for _, s := range m.Shards {
			if filepath.Base(s.File) != s.File || s.Tokens < 1 {
				t.Fatalf("accepted %+v", s)
			}
			sum += uint64(s.Tokens)
		}
		if sum != m.Tokens || !bytes.Equal(m.Encode(), src) {
			t.Fatal("accepted what does not add up, or has another encoding")
		}
	})
}

// Whatever a file is called, its label is one.
func TestLabels(t *testing.T) {
	for path, want := range map[string]string{
		filepath.Join("home", "leo", "Война и мир.txt"): "Война и мир.txt",
		"a\x1b[2J\n\x7f\u0085\u2028\u202e.txt":          "a_[2J_____.txt",
		"a\"b\xff.txt":                                  "a_b_.txt",
		"..":                                            "__",
		"*":                                             "*",
		strings.Repeat("é", 200):                        strings.Repeat("é", 127),
	} {
		if got := label(path); got != want || !isLabel(got) {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
	if err := quick.Check(func(path string) bool { return isLabel(label(path)) && isLabel(label(string([]byte(path)))) }, nil); err != nil {
		t.Error(err)
	}
	if err := quick.Check(func(path []byte) bool { return isLabel(label(string(path))) }, nil); err != nil {
		t.Error(err)
	}
	for _, s := range []string{"", ".", "..", "a/b", `a\b`, `a"b`, "a\nb", "\u061c", "\xff", strings.Repeat("a", 256)} {
		if isLabel(s) {
			t.Errorf("%q is taken for a label", s)
		}
	}
	if clip(strings.Repeat("a", 254)+"é") != strings.Repeat("a", 254) || !utf8.ValidString(clip(strings.Repeat("字", 100))) {
		t.Error("clipped inside a rune")
	}
}

// What is published names no folder of this machine, whatever the files are called.
func TestManifestLeaksNoPath(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("such names are not allowed here")
	}
	texts := filepath.Join(t.TempDir(), "secret-folder")
	if err := os.Mkdir(texts, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, texts, "a\\b\".txt", "one")
	write(t, texts, "c.txt", "two")
	m, err := Prepare(t.Context(), Spec{filepath.Join(texts, "*.txt") + " " + filepath.Join(texts, "c*"), "byte", 0}, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Corpus != "*.txt c*" || m.Inputs[0].Name != "a_b_.txt" || bytes.Contains(m.Encode(), []byte("secret-folder")) {
		t.Fatalf("%s", m.Encode())
	}
	if _, err := DecodeManifest(m.Encode()); err != nil {
		t.Fatal(err)
	}
}
