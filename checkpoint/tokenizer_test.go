package checkpoint_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/shards"
)

// plainBPE is byte-pair encoding as a textbook has it, over a tokenizer.json.
type plainBPE struct {
	Model struct {
		Vocab  map[string]int32
		Merges []string
	}
}

// encode applies the merges one after the other to the whole text. The letters of the alphabet are taken from the
// vocabulary of the byte tokenizer, whose ids are the bytes.
func (p *plainBPE) encode(letters []string, text string) (ids []int32) {
	var parts []string
	for i := range len(text) {
		parts = append(parts, letters[text[i]])
	}
	for _, m := range p.Model.Merges {
		a, b, _ := strings.Cut(m, " ")
		for i := 0; i+1 < len(parts); i++ {
			if parts[i] == a && parts[i+1] == b {
				parts = slices.Replace(parts, i, i+2, a+b)
			}
		}
	}
	for _, s := range parts {
		ids = append(ids, p.Model.Vocab[s])
	}
	return ids
}

func tokenizer(t *testing.T, name string) (shards.Tokenizer, *plainBPE) {
	t.Helper()
	v := must(shards.NewTokenizer(name))(t)
	described := must(checkpoint.NewTokenizer(v))(t)
	if described.Name != name || described.Separator != int(v.Separator()) {
		t.Errorf("%s: %s with separator %d", name, described.Name, described.Separator)
	}
	for _, list := range []string{`"added_tokens":[`, `"merges":[`} { // readers want lists, be they empty
		if !strings.Contains(string(described.JSON), list) {
			t.Errorf("%s: no %s", name, list)
		}
	}
	p := &plainBPE{}
	if err := json.Unmarshal(described.JSON, p); err != nil {
		t.Fatal(err)
	}
	return v, p
}

func byteLetters(p *plainBPE) []string {
	letters := make([]string, 256)
	for s, id := range p.Model.Vocab {
		letters[id] = s
	}
	return letters
}

func TestByteTokenizersIdsAreBytes(t *testing.T) {
	_, p := tokenizer(t, "byte")
	letters := byteLetters(p)
	if len(p.Model.Vocab) != 256 || len(p.Model.Merges) != 0 || letters['A'] != "A" || letters[' '] != "Ġ" || letters['\n'] != "Ċ" || letters[0] != "Ā" || letters[255] != "ÿ" {
		t.Errorf("vocabulary %v", p.Model.Vocab)
	}
}

func TestGPT2MergesGiveItsIds(t *testing.T) {
	if testing.Short() {
		t.Skip("encodes the slow way")
	}
	v, p := tokenizer(t, "gpt2")
	if len(p.Model.Vocab) != 50257 || len(p.Model.Merges) != 50000 {
		t.Fatalf("%d words, %d merges", len(p.Model.Vocab), len(p.Model.Merges))
	}
	_, bytes := tokenizer(t, "byte")
	letters := byteLetters(bytes)
	for _, piece := range []string{"Hello", " world", " antidisestablishmentarianism", "日本語", "\x7f", " 12345", "\xff\xfe", "        "} {
		if got, want := p.encode(letters, piece), v.Append(nil, []byte(piece)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", piece, got, want)
		}
	}
}
