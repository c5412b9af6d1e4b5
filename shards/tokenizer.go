package shards

import (
	"fmt"
	"strings"
)

// Tokenizer turns text into token ids and back. Every id is below 65536, the limit of the shard format. Text is bytes:
// what is not UTF-8 is kept as it is. A Tokenizer may keep a cache and is used by one goroutine at a time.
type Tokenizer interface {
	// Name is the name in the run file, e.g. "gpt2".
	Name() string
	// Vocab is the number of ids: every id is in [0, Vocab).
	Vocab() int
	// Separator is the id that stands between two documents.
	Separator() int32
	// Append encodes a whole text behind dst and returns the longer slice.
	Append(dst []int32, text []byte) []int32
	// Decode is the inverse of Append. Ids outside of the vocabulary are an error.
	Decode(ids []int32) ([]byte, error)
	// cut is the length of the longest prefix of text that may be encoded without knowing what follows it: the ids of
	// text[:n] followed by those of text[n:] are the ids of the whole. 0 means that more text is needed.
	cut(text []byte) int
}

// Tokenizers are the names that NewTokenizer knows.
func Tokenizers() []string { return []string{"byte", "gpt2"} }

// vocabOf is the number of ids of a tokenizer, without building it; 0 for a name that is not known.
func vocabOf(name string) int {
	switch name {
	case "byte":
		return byteVocab
	case "gpt2":
		return gpt2Vocab
	}
	return 0
}

// NewTokenizer builds the tokenizer of that name.
func NewTokenizer(name string) (Tokenizer, error) {
	switch name {
	case "byte":
		return byteTokenizer{}, nil
	case "gpt2":
		return newGPT2()
	}
	return nil, fmt.Errorf("tokenizer %q is not known; use one of %s", name, strings.Join(Tokenizers(), ", "))
}

const byteVocab = 256

// byteTokenizer has one id per byte. NUL, which text does not contain, separates documents.
type byteTokenizer struct{}

func (byteTokenizer) Name() string        { return "byte" }
func (byteTokenizer) Vocab() int          { return byteVocab }
func (byteTokenizer) Separator() int32    { return 0 }
func (byteTokenizer) cut(text []byte) int { return len(text) }

func (byteTokenizer) Append(dst []int32, text []byte) []int32 {
	for _, b := range text {
		dst = append(dst, int32(b))
	}
	return dst
}

func (byteTokenizer) Decode(ids []int32) ([]byte, error) {
	out := make([]byte, len(ids))
	for i, id := range ids {
		if id < 0 || id >= byteVocab {
			return nil, fmt.Errorf("token %d at position %d is outside of the vocabulary of %d", id, i, byteVocab)
		}
		out[i] = byte(id)
	}
	return out, nil
}
