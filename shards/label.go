package shards

import (
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLabel is the most bytes in a label.
const maxLabel = 255

// isLabel tells whether s is a label: 1 to maxLabel bytes of UTF-8 for people to read, of which nothing can be taken for a
// path, a line, a command to a terminal, or a quotation mark in JSON.
func isLabel(s string) bool {
	return s != "" && len(s) <= maxLabel && s != "." && s != ".." && utf8.ValidString(s) && !strings.ContainsFunc(s, isForeign)
}

func isForeign(r rune) bool {
	return unicode.IsControl(r) || strings.ContainsRune(`/\"`, r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// label makes a label of the last part of a path.
func label(path string) string {
	name := []rune(strings.ToValidUTF8(filepath.Base(path), "_"))
	for i, r := range name {
		if isForeign(r) {
			name[i] = '_'
		}
	}
	if s := string(name); strings.Trim(s, ".") != "" {
		return clip(s)
	}
	return strings.Repeat("_", len(name))
}

// clip cuts a label that is too long between two runes.
func clip(s string) string {
	for len(s) > maxLabel {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
