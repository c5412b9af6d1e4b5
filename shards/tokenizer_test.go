package shards

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tiktoken-go/tokenizer/codec"
	"pgregory.net/rapid"
)

// The ids are those of the published GPT-2 vocabulary; DEL and bytes that are no UTF-8 stay what they are.
func TestGPT2Golden(t *testing.T) {
	tok, err := NewTokenizer("gpt2")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]int32{
		"Hello, world!":             {15496, 11, 995, 0},
		"hello world":               {31373, 995},
		"<|endoftext|>":             {27, 91, 437, 1659, 5239, 91, 29},
		"":                          nil,
		"a\x7fb":                    {64, 221, 65},
		"\xff\xc3 \xe2\x82":         {187, 127, 2343, 224},
		"The quick brown fox jumps": {464, 2068, 7586, 21831, 18045},
	} {
		if got := tok.Append(nil, []byte(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// adversarial draws text that provokes every branch of the splitter.
func adversarial(r *rand.Rand, n int) string {
	parts := []string{" ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u2003", "\u0085", "\u180e", "\u200b", "\ufeff", "\x1c", "'", "''", "'s", "'S", "'ll", "'l", "'re", "'r", "’s",
		"a", "Z", "é", "e\u0301", "ß", "字", "한", "ʼ", "ª", "1", "²", "½", "Ⅻ", "٣", "!", "_", "-", "…", "€", "🙂", "👩\u200d👩\u200d👧", "\u0300", "\x00", "\x7f", "\ufffd",
		"\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf0\x9f", "\xc0\x80", "hello", "World", "don't", "<|endoftext|>", strings.Repeat("a", 120), strings.Repeat(" ", 40)}
	var b strings.Builder
	for range n {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}

// Splitter, merges and cache agree with the library, where the library is right: it loses DEL and replaces bytes that are
// no UTF-8.
func TestGPT2MatchesTheLibrary(t *testing.T) {
	g, err := newGPT2()
	if err != nil {
		t.Fatal(err)
	}
	library, r := codec.NewR50kBase(), rand.New(rand.NewPCG(1, 2))
	for range 4000 {
		text := strings.ToValidUTF8(strings.ReplaceAll(adversarial(r, 1+r.IntN(12)), "\x7f", ""), "?")
		ids, _, err := library.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]int32, len(ids))
		for i, id := range ids {
			want[i] = int32(id)
		}
		if got := g.Append(nil, []byte(text)); !slices.Equal(got, want) {
			t.Fatalf("%q:\n got %v\nwant %v", text, got, want)
		}
	}
}

// Decoding gives the text back, and cutting it anywhere that cut allows changes nothing.
func TestTokenizersRoundTrip(t *testing.T) {
	for _, name := range Tokenizers() {
		tok, err := NewTokenizer(name)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(3, 4))
		for range 1000 {
			text := []byte(adversarial(r, r.IntN(20)) + " word by word " + adversarial(r, r.IntN(5)))
			whole := tok.Append(nil, text)
			back, err := tok.Decode(whole)
			if err != nil || !bytes.Equal(back, text) {
				t.Fatalf("%s: %q came back as %q, %v", name, text, back, err)
			}
			n := tok.cut(text)
			if halves := tok.Append(tok.Append(nil, text[:n]), text[n:]); n == 0 || !slices.Equal(halves, whole) {
				t.Fatalf("%s: %q cut at %d: %v, whole %v", name, text, n, halves, whole)
			}
		}
		for _, id := range []int32{-1, int32(tok.Vocab())} {
			if _, err := tok.Decode([]int32{id}); err == nil {
				t.Errorf("%s decoded id %d", name, id)
			}
		}
	}
}

// Pieces tile any text: each has at least one byte.
func TestPiecesTile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Byte(), 1, 60).Draw(t, "text")
		for len(text) > 0 {
			n := piece(text)
			if n < 1 || n > len(text) {
				t.Fatalf("a piece of %d bytes out of %d", n, len(text))
			}
			text = text[n:]
		}
	})
}

// A piece without end costs n·log n, not n².
func TestGPT2LongPiece(t *testing.T) {
	tok, err := NewTokenizer("gpt2")
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("ab"), 1<<15)
	ids := tok.Append(nil, text)
	if back, err := tok.Decode(ids); err != nil || !bytes.Equal(back, text) {
		t.Fatalf("%d bytes came back as %d, %v", len(text), len(back), err)
	}
}

func TestUnknownTokenizer(t *testing.T) {
	if _, err := NewTokenizer("bpe"); err == nil || !strings.Contains(err.Error(), "byte, gpt2") {
		t.Fatalf("want the list of tokenizers, got %v", err)
	}
}
