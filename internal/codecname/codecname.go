// Package codecname is the grammar of a codec's name: what is sent + how its numbers are written + an entropy stage.
//
//	name    = [ what "+" ] values [ "+zstd" ]
//	what    = "topk:" K "/" C                 the K largest of every C elements in a row
//	        | "topk:" K "/" S "x" S           the K largest of every tile of S×S
//	        | "mask:" P "/" Q                 P of every Q elements, drawn anew for every departure
//	        | "dct:" K "/" S                  the K largest cosine coefficients of every tile of S×S
//	        | "lowrank:" R                    two factors of rank R instead of every matrix
//	values  = "f32" | "bf16" | "int8" | "e3m0" | "int4" | "2bit" | "1bit"
//
// Numbers have no sign and no leading zero, so that a codec has one name. The run file's check and the codecs
// themselves share this package.
package codecname

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Limits of the numbers in a name.
const (
	MaxChunk = 1 << 16 // elements of a chunk, or of a mask's stretch
	MaxSide  = 64      // rows and columns of a tile
	MaxRank  = 256
)

// Kinds of What.
const (
	All     = ""
	TopK    = "topk"
	Mask    = "mask"
	DCT     = "dct"
	LowRank = "lowrank"
)

// Name is a parsed name.
type Name struct {
	What   string // All, TopK, Mask, DCT or LowRank
	Count  int    // K, P or R
	Of     int    // C, Q or S
	Tiles  bool   // TopK over tiles of Of×Of instead of Of elements in a row
	Values string // one of Values()
	Zstd   bool
}

// Values lists how numbers may be written, from most to fewest bits.
func Values() []string { return []string{"f32", "bf16", "int8", "e3m0", "int4", "2bit", "1bit"} }

// Examples has one name of each kind of What.
func Examples() []string {
	return []string{"int8", "topk:64/4096+2bit", "topk:64/64x64+2bit", "mask:1/20+int8", "dct:32/64+f32", "lowrank:8+bf16"}
}

// Error says which part of a name is wrong. Options are what could stand in the place of Got, if it is a choice.
type Error struct {
	Message string
	Got     string
	Options []string
}

func (e *Error) Error() string { return e.Message }

func fail(format string, args ...any) error { return &Error{Message: fmt.Sprintf(format, args...)} }

// Parse reads a name. The error is of type *Error.
func Parse(name string) (Name, error) {
	parts := strings.Split(name, "+")
	var n Name
	if n.Zstd = len(parts) > 1 && parts[len(parts)-1] == "zstd"; n.Zstd {
		parts = parts[:len(parts)-1]
	}
	what, last := "", parts[len(parts)-1]
	if len(parts) == 2 {
		what = parts[0]
	}
	switch kind, _, _ := strings.Cut(last, ":"); {
	case len(parts) > 2:
		return Name{}, &Error{Message: fmt.Sprintf("%q has too many parts; expected WHAT+VALUES+zstd, such as %s", name, strings.Join(Examples(), ", ")),
			Got: last, Options: []string{"zstd"}}
	case slices.Contains(whats(), kind):
		return Name{}, fail("%q does not say how its values are written; add one of +%s", name, strings.Join(Values(), ", +"))
	case !slices.Contains(Values(), last):
		return Name{}, &Error{Message: fmt.Sprintf("%q is not one of %s; see also %s", last, strings.Join(Values(), ", "), strings.Join(Examples()[1:], ", ")),
			Got: last, Options: slices.Concat(Values(), whats(), []string{"zstd"})}
	}
	n.Values = last
	if what == "" && len(parts) == 1 {
		return n, nil
	}
	if err := n.parseWhat(what); err != nil {
		return Name{}, err
	}
	return n, nil
}

func whats() []string { return []string{TopK, Mask, DCT, LowRank} }

// parseWhat reads what is sent, such as "topk:64/4096".
func (n *Name) parseWhat(text string) error {
	kind, args, _ := strings.Cut(text, ":")
	count, of, pair := strings.Cut(args, "/")
	if !slices.Contains(whats(), kind) {
		return &Error{Message: fmt.Sprintf("%q is not one of %s", kind, strings.Join(whats(), ", ")), Got: kind, Options: whats()}
	}
	if n.What = kind; n.What == LowRank {
		return n.numbers(text, "lowrank:R", args, "", MaxRank)
	}
	form, limit := "topk:K/C or topk:K/SxS", MaxChunk
	switch kind {
	case Mask:
		form = "mask:P/Q"
	case DCT:
		form, limit = "dct:K/S", MaxSide
	case TopK:
		if rows, cols, tiles := strings.Cut(of, "x"); tiles {
			if rows != cols {
				return fail("%q: tiles are square, such as 64x64", text)
			}
			n.Tiles, of, limit = true, rows, MaxSide
		}
	}
	if !pair || of == "" {
		return fail("%q: expected %s", text, form)
	}
	return n.numbers(text, form, count, of, limit)
}

// numbers reads Count and Of. Of is empty where there is none, and at most limit; Count is what fits in it.
func (n *Name) numbers(text, form, count, of string, limit int) error {
	var ok bool
	if n.Count, ok = number(count); !ok {
		return fail("%q: expected %s with whole numbers from 1", text, form)
	}
	most := limit
	if of != "" {
		if n.Of, ok = number(of); !ok {
			return fail("%q: expected %s with whole numbers from 1", text, form)
		}
		if n.Of > limit {
			return fail("%q: %d is more than %d", text, n.Of, limit)
		}
		if most = n.Of; n.Tiles || n.What == DCT {
			most = n.Of * n.Of
		}
	}
	if n.Count > most {
		return fail("%q: %d is more than %d", text, n.Count, most)
	}
	return nil
}

// number reads a whole number from 1 in its only form.
func number(s string) (int, bool) {
	x, err := strconv.Atoi(s)
	return x, err == nil && x > 0 && strconv.Itoa(x) == s
}

// String writes the name that Parse read.
func (n Name) String() string {
	s := n.Values
	switch {
	case n.What == LowRank:
		s = fmt.Sprintf("%s:%d+%s", n.What, n.Count, s)
	case n.Tiles:
		s = fmt.Sprintf("%s:%d/%dx%d+%s", n.What, n.Count, n.Of, n.Of, s)
	case n.What != All:
		s = fmt.Sprintf("%s:%d/%d+%s", n.What, n.Count, n.Of, s)
	}
	if n.Zstd {
		s += "+zstd"
	}
	return s
}

// Pattern is a regular expression (ECMA-262) that every name matches; Parse knows the limits, too.
func Pattern() string {
	const number = "[1-9][0-9]*"
	what := []string{"topk:N/N(xN)?", "mask:N/N", "dct:N/N", "lowrank:N"}
	all := "^((" + strings.Join(what, "|") + ")\\+)?(" + strings.Join(Values(), "|") + ")(\\+zstd)?$"
	return regexp.MustCompile("N").ReplaceAllLiteralString(all, number)
}
