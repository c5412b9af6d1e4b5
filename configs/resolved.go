package configs

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Resolved writes the whole Config as a run file, every key in its place: Parse gives back the same Config.
func (c Config) Resolved() []byte {
	var b bytes.Buffer
	section := ""
	for _, f := range fieldsOf(&c) {
		s, key, found := strings.Cut(f.path, ".")
		if !found {
			fmt.Fprintf(&b, "%s: %s\n", f.path, show(f.value))
			continue
		}
		if s != section {
			section = s
			fmt.Fprintf(&b, "%s:\n", s)
		}
		fmt.Fprintf(&b, "  %s: %s\n", key, show(f.value))
	}
	return b.Bytes()
}

// quoteIfNeeded writes text so that YAML reads it back as the same text.
func quoteIfNeeded(s string) string {
	plain := s != "" && s != "null"
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '/' || r == '_'
		plain = plain && (letter || i > 0 && (r >= '0' && r <= '9' || r == '-' || r == '.' || r == '*'))
	}
	if plain {
		return s
	}
	return strconv.Quote(s)
}
