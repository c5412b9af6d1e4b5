package configs

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
	"github.com/skein-train/skein/internal/codecname"
)

// Schema is the JSON Schema of a run file (draft 2020-12), for editors: every key with its description, default, range
// and choices. Relations between fields are beyond it; Validate knows them.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{
		Anonymous:                  true,
		ExpandedStruct:             true,
		DoNotReference:             true,
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		Mapper:                     unitSchema,
		LookupComment: func(t reflect.Type, name string) string {
			if t.Kind() != reflect.Struct {
				return ""
			}
			f, _ := t.FieldByName(name)
			return f.Tag.Get("doc")
		},
	}
	root := r.Reflect(Config{})
	root.Title = "Skein run file"
	root.Required = []string{"data"}
	if data, ok := root.Properties.Get("data"); ok {
		data.Required = []string{"source"}
	}
	c := Default()
	for _, f := range fieldsOf(&c) {
		if s := property(root, f.path); s != nil {
			constrain(s, f)
		}
	}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return append(out, '\n'), nil
}

// unitSchema describes the types that are written with a unit.
func unitSchema(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`, Examples: []any{"60s", "1m30s"}}
	case reflect.TypeFor[Rate]():
		return &jsonschema.Schema{Pattern: `^(0|[0-9]+(\.[0-9]+)?\s*([kKMGT]i?)?B(/s)?)$`, Examples: []any{0, "10MB/s"}, OneOf: []*jsonschema.Schema{{Type: "string"}, {Const: 0}}}
	}
	return nil
}

func property(s *jsonschema.Schema, path string) *jsonschema.Schema {
	for key := range strings.SplitSeq(path, ".") {
		next, ok := s.Properties.Get(key)
		if !ok {
			return nil
		}
		s = next
	}
	return s
}

// constrain copies a field's tags and default into its schema.
func constrain(s *jsonschema.Schema, f field) {
	if f.path != "data.source" {
		s.Default = plainValue(f.value)
	}
	choices := list(f.tag.Get("enum"))
	if slices.ContainsFunc(choices, numbered) {
		s.Pattern = "^(" + strings.ReplaceAll(strings.Join(choices, "|"), ":N", ":[0-9]+") + ")$"
		choices = nil
	}
	for _, choice := range choices {
		if n, err := strconv.Atoi(choice); err == nil && f.value.CanInt() {
			s.Enum = append(s.Enum, n)
		} else {
			s.Enum = append(s.Enum, choice)
		}
	}
	if f.tag.Get("form") == "codec" {
		s.Pattern = codecname.Pattern()
		for _, example := range codecname.Examples() {
			s.Examples = append(s.Examples, example)
		}
	}
	in, ok := intervalOf(f.tag)
	if !ok || s.Type == "string" {
		return
	}
	if s.Items != nil {
		s = s.Items
	}
	lo, hi := number(in.lo), number(in.hi)
	if in.loOpen {
		s.ExclusiveMinimum = lo
	} else {
		s.Minimum = lo
	}
	if in.hiOpen {
		s.ExclusiveMaximum = hi
	} else {
		s.Maximum = hi
	}
}

func plainValue(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Duration:
		return shortDuration(x)
	case Rate:
		return x.String()
	case []string:
		if x == nil {
			return []string{}
		}
	}
	return v.Interface()
}

func number(x float64) json.Number { return json.Number(strconv.FormatFloat(x, 'f', -1, 64)) }
