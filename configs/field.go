package configs

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is one key of the run file: where its value lies in a Config and what its tags say.
type field struct {
	path  string // "sync.every"
	value reflect.Value
	tag   reflect.StructTag
}

// fieldsOf lists the leaf fields of c in the order of the file. Writing through them changes c.
func fieldsOf(c *Config) []field {
	var out []field
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			path := prefix + f.Tag.Get("yaml")
			if f.Type.Kind() == reflect.Struct {
				walk(path+".", v.Field(i))
				continue
			}
			out = append(out, field{path: path, value: v.Field(i), tag: f.Tag})
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	return out
}

// sections are the keys of the run file that hold other keys.
func sections() []string {
	var out []string
	for f := range reflect.TypeFor[Config]().Fields() {
		if f.Type.Kind() == reflect.Struct {
			out = append(out, f.Tag.Get("yaml"))
		}
	}
	return out
}

func list(tag string) []string {
	if tag == "" {
		return nil
	}
	return strings.Split(tag, "|")
}

// set writes one scalar of the run file, given as its text. quoted says that the text was in quotes, hence no number.
func set(v reflect.Value, text string, quoted bool) error {
	if v.Kind() != reflect.String && quoted {
		return fmt.Errorf("want %s, got the text %q", kind(v.Type()), text)
	}
	bad := func() error { return fmt.Errorf("want %s, got %q", kind(v.Type()), text) }
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if _, e := strconv.ParseFloat(text, 64); e == nil && text != "0" {
			return fmt.Errorf("%s has no unit: write %ss for seconds, or ms, m, h", text, text)
		}
		if err != nil {
			return bad()
		}
		*p = d
		return nil
	case *Rate:
		r, err := parseRate(text)
		if err != nil {
			return err
		}
		*p = r
		return nil
	}
	switch digits := strings.ReplaceAll(text, "_", ""); v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return bad()
		}
		v.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || int64(int(n)) != n {
			return bad()
		}
		v.SetInt(n)
	case reflect.Uint64:
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			return bad()
		}
		v.SetUint(n)
	case reflect.Float64:
		x, err := strconv.ParseFloat(digits, 64)
		if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
			return bad()
		}
		v.SetFloat(x)
	default:
		return fmt.Errorf("want %s, got a single value", kind(v.Type()))
	}
	return nil
}

// kind names a type for people.
func kind(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 60s"
	case t == reflect.TypeFor[Rate]():
		return "a rate such as 10MB/s"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Uint64:
		return "a whole number, not negative"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list such as [a, b]"
	case reflect.Array:
		return fmt.Sprintf("a list of %d numbers", t.Len())
	}
	return "keys with values"
}

// show writes a value as it would stand in the run file.
func show(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return shortDuration(x)
	case fmt.Stringer:
		return x.String()
	}
	switch v.Kind() {
	case reflect.String:
		return quoteIfNeeded(v.String())
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case reflect.Slice, reflect.Array:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = show(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// shortDuration drops the zero parts that time.Duration prints: 1m0s becomes 1m.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
