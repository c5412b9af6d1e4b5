package shards

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/tiktoken-go/tokenizer/codec"
)

const (
	gpt2Vocab     = 50257
	gpt2Separator = 50256 // <|endoftext|>

	maxCachedPiece = 32      // bytes; longer pieces are rare
	maxCached      = 1 << 18 // pieces; the cache starts anew when it is full
)

// gpt2 is the byte-pair encoding of GPT-2 (r50k_base). The vocabulary comes from a library; the splitter and the merges
// are ours: they are faster, keep bytes that are no UTF-8, and do not lose the character DEL as the library does.
type gpt2 struct {
	pieces [gpt2Separator]string // by id
	ids    map[string]int32      // also the rank: a smaller id merges first
	cache  map[string][]int32
}

func newGPT2() (*gpt2, error) {
	g := &gpt2{ids: make(map[string]int32, gpt2Separator), cache: map[string][]int32{}}
	library := codec.NewR50kBase()
	for id := range g.pieces {
		s, err := library.Decode([]uint{uint(id)})
		if err != nil {
			return nil, fmt.Errorf("gpt2 vocabulary: token %d: %w", id, err)
		}
		g.pieces[id] = s
		g.ids[s] = int32(id)
	}
	return g, nil
}

func (*gpt2) Name() string     { return "gpt2" }
func (*gpt2) Vocab() int       { return gpt2Vocab }
func (*gpt2) Separator() int32 { return gpt2Separator }

func (g *gpt2) Append(dst []int32, text []byte) []int32 {
	for len(text) > 0 {
		n := piece(text)
		dst = append(dst, g.encode(text[:n])...)
		text = text[n:]
	}
	return dst
}

// encode encodes one piece.
func (g *gpt2) encode(p []byte) []int32 {
	if ids, ok := g.cache[string(p)]; ok {
		return ids
	}
	ids := mergePairs(g.ids, string(p))
	if len(p) <= maxCachedPiece {
		if len(g.cache) >= maxCached {
			clear(g.cache)
		}
		g.cache[string(p)] = ids
	}
	return ids
}

func (g *gpt2) Decode(ids []int32) ([]byte, error) {
	var out []byte
	for i, id := range ids {
		switch {
		case id == gpt2Separator:
			out = append(out, "<|endoftext|>"...)
		case id < 0 || id > gpt2Separator:
			return nil, fmt.Errorf("token %d at position %d is outside of the vocabulary of %d", id, i, gpt2Vocab)
		default:
			out = append(out, g.pieces[id]...)
		}
	}
	return out, nil
}

// cut finds the last space between two ASCII letters: a piece always ends before it.
func (*gpt2) cut(text []byte) int {
	for i := len(text) - 2; i > 0; i-- {
		if text[i] == ' ' && letter(text[i-1]) && letter(text[i+1]) {
			return i
		}
	}
	return 0
}

func letter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }

// piece is the length of GPT-2's first piece of a text that is not empty. It does what the expression
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// does, with bytes that are no UTF-8 taken for U+FFFD. Byte-pair merges never cross the end of a piece.
func piece(text []byte) int {
	if text[0] == '\'' {
		for _, s := range []string{"s", "t", "re", "ve", "m", "ll", "d"} {
			if len(text) > len(s) && string(text[1:1+len(s)]) == s {
				return 1 + len(s)
			}
		}
	}
	start := 0
	if text[0] == ' ' && len(text) > 1 {
		start = 1
	}
	first, size := class(text[start:])
	if first != space {
		return run(text, start+size, first)
	}
	_, size = class(text)
	end := run(text, size, space)
	if end == len(text) {
		return end
	}
	for last := end; ; { // leave the last space to the word behind it, if there is another
		last--
		if utf8.RuneStart(text[last]) {
			if last == 0 {
				return end
			}
			return last
		}
	}
}

// run is where the runes of class c that start at i end.
func run(text []byte, i, c int) int {
	for i < len(text) {
		next, size := class(text[i:])
		if next != c {
			break
		}
		i += size
	}
	return i
}

const (
	space = iota
	letters
	numbers
	others
)

// class is the class of the first rune and its size in bytes.
func class(text []byte) (c, size int) {
	r, size := utf8.DecodeRune(text)
	switch {
	case unicode.IsSpace(r):
		return space, size
	case unicode.IsLetter(r):
		return letters, size
	case unicode.IsNumber(r):
		return numbers, size
	}
	return others, size
}
