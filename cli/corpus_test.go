package cli

import (
	"strings"
	"testing"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/shards"
)

func TestTokenShardsMustFitTheModel(t *testing.T) {
	c := configs.Default()
	if err := fitsModel(c, &shards.Manifest{Corpus: "text", Tokenizer: "byte", Vocab: 256}); err != nil {
		t.Error(err)
	}
	err := fitsModel(c, &shards.Manifest{Corpus: "text", Tokenizer: "gpt2", Vocab: 50257})
	if err == nil {
		t.Fatal("ids without an embedding were accepted")
	}
	for _, word := range []string{"50257", "tokenizer gpt2", "model.vocab_size is 256", "data.tokenizer byte"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error lacks %q: %v", word, err)
		}
	}
	c.Model.VocabSize = 50304
	if err := fitsModel(c, &shards.Manifest{Corpus: "text", Tokenizer: "gpt2", Vocab: 50257}); err != nil {
		t.Error(err)
	}
}
