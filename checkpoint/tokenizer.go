package checkpoint

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Tokenizer is what a checkpoint carries of its tokenizer.
type Tokenizer struct {
	Name      string // as in the run file
	Separator int    // id between two documents
	JSON      []byte // tokenizer.json of Hugging Face's tokenizers library
}

// Vocabulary is what NewTokenizer needs of a tokenizer.
type Vocabulary interface {
	Name() string
	Vocab() int
	Separator() int32
	Decode(ids []int32) ([]byte, error)
}

// NewTokenizer describes a byte-level tokenizer, "byte" or "gpt2", for Hugging Face. It takes a fraction of a second for
// gpt2: do it once a run.
func NewTokenizer(v Vocabulary) (Tokenizer, error) {
	t := Tokenizer{Name: v.Name(), Separator: int(v.Separator())}
	if t.Name != "byte" && t.Name != "gpt2" {
		return t, fmt.Errorf("tokenizer %q: its form as tokenizer.json is not known", t.Name)
	}
	words := make([]string, v.Vocab())
	for id := range words {
		b, err := v.Decode([]int32{int32(id)})
		if err != nil {
			return t, fmt.Errorf("tokenizer %s: %w", t.Name, err)
		}
		words[id] = string(b)
	}
	pieces := words
	added := []addedToken{}
	if t.Name == "gpt2" { // its separator is no piece of text but the last id of its own
		pieces = words[:t.Separator]
		added = []addedToken{{ID: t.Separator, Content: words[t.Separator], Normalized: true, Special: true}}
	}
	b, err := json.Marshal(tokenizerJSON{
		Version: "1.0", AddedTokens: added,
		PreTokenizer: byteLevel{Type: "ByteLevel", TrimOffsets: true, UseRegex: t.Name == "gpt2"},
		Decoder:      byteLevel{Type: "ByteLevel", AddPrefixSpace: true, TrimOffsets: true, UseRegex: true},
		Model:        bpe{Type: "BPE", Vocab: vocabJSON(pieces, added), Merges: mergesOf(pieces)},
	})
	t.JSON = append(b, '\n')
	return t, err
}

// tokenizerJSON is the part of the tokenizers library's format that is used here; what is absent is null there,
// but lists are never null.
type tokenizerJSON struct {
	Version       string       `json:"version"`
	Truncation    *int         `json:"truncation"`
	Padding       *int         `json:"padding"`
	AddedTokens   []addedToken `json:"added_tokens"`
	Normalizer    *int         `json:"normalizer"`
	PreTokenizer  byteLevel    `json:"pre_tokenizer"`
	PostProcessor *int         `json:"post_processor"`
	Decoder       byteLevel    `json:"decoder"`
	Model         bpe          `json:"model"`
}

type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LeftStrip  bool   `json:"lstrip"`
	RightStrip bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// byteLevel writes bytes as letters. Without UseRegex the text is not split: right for an encoding without merges.
type byteLevel struct {
	Type           string `json:"type"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	TrimOffsets    bool   `json:"trim_offsets"`
	UseRegex       bool   `json:"use_regex"`
}

type bpe struct {
	Type         string          `json:"type"`
	Dropout      *float64        `json:"dropout"`
	UnknownToken *string         `json:"unk_token"`
	Prefix       *string         `json:"continuing_subword_prefix"`
	Suffix       *string         `json:"end_of_word_suffix"`
	FuseUnknown  bool            `json:"fuse_unk"`
	ByteFallback bool            `json:"byte_fallback"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       []string        `json:"merges"`
}

// vocabJSON lists the pieces in the order of their ids.
func vocabJSON(pieces []string, added []addedToken) json.RawMessage {
	alphabet := byteAlphabet()
	var b strings.Builder
	entry := func(id int, word string) {
		name, err := json.Marshal(word)
		if err != nil {
			panic(err) // a string: cannot fail
		}
		fmt.Fprintf(&b, "%s:%d,", name, id)
	}
	for id, p := range pieces {
		entry(id, letters(alphabet, p))
	}
	for _, a := range added {
		entry(a.ID, a.Content)
	}
	return json.RawMessage("{" + strings.TrimSuffix(b.String(), ",") + "}")
}

// byteAlphabet is GPT-2's: bytes that print stand for themselves, the others for the letters from U+0100 on.
func byteAlphabet() (out [256]rune) {
	next := rune(256)
	for b := range out {
		r := rune(b)
		if r >= '!' && r <= '~' || r >= '¡' && r <= '¬' || r >= '®' {
			out[b] = r
			continue
		}
		out[b], next = next, next+1
	}
	return out
}

func letters(alphabet [256]rune, piece string) string {
	var b strings.Builder
	for i := range len(piece) {
		b.WriteRune(alphabet[piece[i]])
	}
	return b.String()
}

// mergesOf lists the pair that each longer piece was merged from, in the order of the ids, which is that of the merges:
// what the merges before it leave of a piece is that pair.
func mergesOf(pieces []string) []string {
	alphabet := byteAlphabet()
	rank := make(map[string]int, len(pieces))
	for id, p := range pieces {
		rank[p] = id
	}
	out := []string{}
	for id, p := range pieces {
		if len(p) < 2 {
			continue
		}
		if parts := mergeBelow(rank, id, p); len(parts) == 2 {
			out = append(out, letters(alphabet, parts[0])+" "+letters(alphabet, parts[1]))
		}
	}
	return out
}

// mergeBelow merges a piece's bytes as far as the merges of ids below the limit go.
func mergeBelow(rank map[string]int, limit int, piece string) []string {
	parts := make([]string, 0, len(piece))
	for i := range len(piece) {
		parts = append(parts, piece[i:i+1])
	}
	for {
		best, at := limit, -1
		for i := range len(parts) - 1 {
			if r, ok := rank[parts[i]+parts[i+1]]; ok && r < best {
				best, at = r, i
			}
		}
		if at < 0 {
			return parts
		}
		parts[at] += parts[at+1]
		parts = append(parts[:at+1], parts[at+2:]...)
	}
}
