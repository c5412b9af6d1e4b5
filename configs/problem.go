package configs

import (
	"fmt"
	"strings"
)

// maxLine is the longest line, in bytes, that a report shows.
const maxLine = 400

// Problem is one mistake and where it was made.
type Problem struct {
	File         string // run file, or "" if the value came from elsewhere
	Line, Column int    // from 1, in the file; 0 if the place is not known
	Width        int    // characters to point at
	Source       string // the line of the file, without its end
	Origin       string // environment variable or override as it was written, or ""
	Path         string // key, such as "sync.every", or ""
	Message      string // what is wrong
	Hint         string // what to do, or ""
}

// Error is a report of every problem that was found. It is the only error about a run file's content.
type Error struct{ Problems []Problem }

// Error renders the report: place and message, the line with a caret, the remedy.
func (e *Error) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.String()
	}
	if len(parts) > 1 {
		parts = append(parts, fmt.Sprintf("%d problems in the run file", len(parts)))
	}
	return strings.Join(parts, "\n")
}

// String renders one problem without a line end.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Origin != "":
		b.WriteString(p.Origin + ": ")
	case p.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	case p.File != "":
		b.WriteString(p.File + ": ")
	}
	b.WriteString(p.Message)
	if p.Origin == "" && p.Line > 0 && len(p.Source) <= maxLine {
		number := fmt.Sprint(p.Line)
		fmt.Fprintf(&b, "\n  %s | %s", number, p.Source)
		fmt.Fprintf(&b, "\n  %s | %s%s", strings.Repeat(" ", len(number)), indent(p.Source, p.Column-1), strings.Repeat("^", max(1, p.Width)))
	}
	if p.Hint != "" {
		b.WriteString("\n  hint: " + p.Hint)
	}
	return b.String()
}

// indent is as wide as the first n characters of line: tabs stay tabs.
func indent(line string, n int) string {
	var b strings.Builder
	for _, r := range line {
		if n--; n < 0 {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}
