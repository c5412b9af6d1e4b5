package configs

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxSource bounds the text that is handed to the YAML parser, in bytes. Run files are a few kilobytes.
const maxSource = 64 << 10

// maxProblems bounds a report: nobody reads more.
const maxProblems = 50

// place is where a value came from: a token of the file, or an environment variable or override as it was written.
type place struct {
	token  *token.Token
	origin string
}

// decoder writes layers into one Config and remembers where each value came from.
type decoder struct {
	file     string
	lines    []string
	fields   []field
	from     map[string]place // by path, for values that some layer wrote down
	problems []Problem
}

func newDecoder(c *Config) *decoder {
	return &decoder{fields: fieldsOf(c), from: map[string]place{}}
}

func (d *decoder) find(path string) (field, bool) {
	for _, f := range d.fields {
		if f.path == path {
			return f, true
		}
	}
	return field{}, false
}

// report adds a problem at a place.
func (d *decoder) report(at place, path, message, hint string) {
	path, _, _ = strings.Cut(path, "#") // an element is reported under its list
	p := Problem{File: d.file, Origin: at.origin, Path: path, Message: message, Hint: hint}
	if t := at.token; t != nil && at.origin == "" && t.Position != nil && t.Position.Line >= 1 && t.Position.Line <= len(d.lines) {
		p.Line, p.Column = t.Position.Line, max(1, t.Position.Column)
		p.Source = d.lines[p.Line-1]
		p.Width = min(utf8.RuneCountInString(strings.TrimSpace(t.Value)), utf8.RuneCountInString(p.Source)-p.Column+1)
	}
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, p)
	}
}

// about names the key in front of a message, unless the place does.
func about(at place, path, message string) string {
	if at.origin != "" {
		return message
	}
	return path + ": " + message
}

// document decodes a whole YAML file.
func (d *decoder) document(file string, src []byte) {
	d.file = file
	d.lines = strings.Split(strings.ReplaceAll(string(src), "\r\n", "\n"), "\n")
	root, err := parse(src)
	if err != nil {
		d.syntax(place{}, err)
		return
	}
	if root != nil {
		d.mapping(place{}, "", root)
	}
}

// parse reads one YAML document; root is nil if it is empty. Errors carry the token where it goes wrong.
func parse(src []byte) (root ast.Node, err error) {
	if len(src) > maxSource {
		return nil, fmt.Errorf("%d bytes of YAML, more than the %d that a run file may have", len(src), maxSource)
	}
	if !utf8.Valid(src) {
		return nil, errors.New("the text is not UTF-8")
	}
	defer func() { // the parser is a dependency that was seen to panic on malformed text
		if recover() != nil {
			root, err = nil, errors.New("the text is not YAML")
		}
	}()
	f, err := parser.ParseBytes(src, 0)
	if err != nil {
		return nil, err
	}
	if len(f.Docs) > 1 {
		return nil, errors.New("more than one YAML document: remove the line with ---")
	}
	if len(f.Docs) == 0 {
		return nil, nil
	}
	return f.Docs[0].Body, nil
}

// syntax reports an error of parse at its own token, or at the place that the text came from.
func (d *decoder) syntax(at place, err error) {
	message := err.Error()
	if ye := yaml.Error(nil); errors.As(err, &ye) {
		message = ye.GetMessage()
		if at.origin == "" {
			at.token = ye.GetToken()
		}
	}
	d.report(at, "", message, "")
}

// node decodes what stands behind a key. Anchors, aliases and tags are refused: a run file says what it means.
func (d *decoder) node(at place, path string, n ast.Node) {
	if at.origin == "" {
		at.token = n.GetToken()
	}
	f, isField := d.find(path)
	switch x := n.(type) {
	case *ast.NullNode: // "remote:" with nothing behind it keeps the default
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.report(at, path, "anchors, aliases and tags are not allowed in a run file", "write the value itself")
	case *ast.MappingNode:
		if isField {
			d.report(at, path, about(at, path, "want "+kind(f.value.Type())+", got keys with values"), "")
			return
		}
		d.mapping(at, path, x)
	case *ast.SequenceNode:
		if !isField {
			d.report(at, path, about(at, path, "want keys with values, got a list"), "")
			return
		}
		d.sequence(at, f, x)
	default:
		if !isField {
			d.report(at, path, about(at, path, fmt.Sprintf("want keys with values, got %q", text(n))), "")
			return
		}
		d.scalar(at, f, f.value, n)
	}
}

func (d *decoder) mapping(at place, path string, n ast.Node) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		if at.origin == "" {
			at.token = n.GetToken()
		}
		d.report(at, path, "want keys with values, such as name: tiny", "")
		return
	}
	for _, entry := range m.Values {
		key := at
		if at.origin == "" {
			key.token = entry.Key.GetToken()
		}
		name, ok := entry.Key.(*ast.StringNode)
		if !ok {
			d.report(key, path, fmt.Sprintf("%q cannot be a key", entry.Key.GetToken().Value), "")
			continue
		}
		full := name.Value
		if path != "" {
			full = path + "." + name.Value
		}
		if !d.known(full) {
			d.unknown(key, path, name.Value)
			continue
		}
		d.node(at, full, entry.Value)
	}
}

// known tells whether path is a field or a section.
func (d *decoder) known(path string) bool {
	for _, f := range d.fields {
		if f.path == path || strings.HasPrefix(f.path, path+".") {
			return true
		}
	}
	return false
}

func (d *decoder) unknown(at place, section, name string) {
	where := "at the top of a run file"
	if section != "" {
		where = "in " + section
	}
	d.report(at, "", fmt.Sprintf("unknown key %q %s", name, where), suggest(d.fields, section, name))
}

func (d *decoder) scalar(at place, f field, v reflect.Value, n ast.Node) {
	kindOf := n.GetToken().Type
	quoted := kindOf == token.SingleQuoteType || kindOf == token.DoubleQuoteType
	if err := set(v, text(n), quoted); err != nil {
		d.report(at, f.path, about(at, f.path, err.Error()), "")
		return
	}
	d.from[f.path] = at
}

// sequence decodes a list into a slice or an array; the value is written only if every element is right.
func (d *decoder) sequence(at place, f field, n *ast.SequenceNode) {
	t := f.value.Type()
	var fresh reflect.Value
	switch t.Kind() {
	case reflect.Slice:
		fresh = reflect.MakeSlice(t, len(n.Values), len(n.Values))
	case reflect.Array:
		fresh = reflect.New(t).Elem()
	}
	if !fresh.IsValid() || fresh.Len() != len(n.Values) {
		d.report(at, f.path, about(at, f.path, fmt.Sprintf("want %s, got a list of %d", kind(t), len(n.Values))), "")
		return
	}
	before := len(d.problems)
	for i, item := range n.Values {
		here := at
		if at.origin == "" {
			here.token = item.GetToken()
		}
		switch item.(type) {
		case ast.ScalarNode:
			d.scalar(here, f, fresh.Index(i), item)
			d.from[element(f.path, i)] = here
		default:
			d.report(here, f.path, about(at, f.path, "want "+kind(t.Elem())), "text with a colon in it needs quotes")
		}
	}
	if len(d.problems) == before {
		f.value.Set(fresh)
		d.from[f.path] = at
	}
}

// element is the path of one element of a list.
func element(path string, i int) string { return fmt.Sprintf("%s#%d", path, i) }

// text is a scalar as it was written, without quotes: "3e-3" stays what it is whatever YAML takes it for.
func text(n ast.Node) string {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value
	case *ast.LiteralNode:
		return x.Value.Value
	}
	return n.GetToken().Value
}

// assignment decodes one "path=value" of the command line or the environment.
func (d *decoder) assignment(origin, path, value string) {
	at := place{origin: origin}
	f, ok := d.find(path)
	if !ok {
		section, name, found := strings.Cut(path, ".")
		if !found {
			section, name = "", path
		}
		if d.known(path) {
			d.report(at, path, path+" is a section: set one of its keys, such as "+d.firstIn(path), "")
			return
		}
		if section != "" && !d.known(section) {
			d.report(at, "", fmt.Sprintf("unknown section %q", section), suggest(d.fields, section, name))
			return
		}
		d.unknown(at, section, name)
		return
	}
	if k := f.value.Kind(); k != reflect.Slice && k != reflect.Array {
		if err := set(f.value, value, false); err != nil {
			d.report(at, path, about(at, path, err.Error()), "")
			return
		}
		d.from[path] = at
		return
	}
	root, err := parse([]byte(value))
	if err != nil {
		d.syntax(at, err)
		return
	}
	if root == nil {
		d.report(at, path, about(at, path, "want "+kind(f.value.Type())), "")
		return
	}
	d.node(at, path, root)
}

func (d *decoder) firstIn(section string) string {
	for _, f := range d.fields {
		if strings.HasPrefix(f.path, section+".") {
			return f.path + "=" + show(f.value)
		}
	}
	return ""
}
