package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Load reads a run file and lays the environment and the overrides ("sync.every=40") over it. A run without a name is
// called after its file. The error is of type *Error if the content is wrong, and then lists every problem.
func Load(path string, overrides []string) (Config, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read run file (configs/tiny.yaml is one to start from): %w", err)
	}
	return load(path, src, os.Environ(), overrides)
}

// Defaults are Default with the environment and the overrides laid over them, for what needs no text.
func Defaults(overrides []string) (Config, error) {
	return load("defaults", []byte("data: {source: none}\n"), os.Environ(), overrides)
}

// Parse reads a run file's text alone, without environment and overrides.
func Parse(src []byte) (Config, error) { return load("run file", src, nil, nil) }

func load(file string, src []byte, environ, overrides []string) (Config, error) {
	c := Default()
	if base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)); safeName(base) {
		c.Name = base
	}
	d := newDecoder(&c)
	d.document(file, src)
	d.environment(environ)
	for _, o := range overrides {
		path, value, found := strings.Cut(o, "=")
		if !found {
			d.report(place{origin: "override " + o}, "", "want key=value", "such as sync.every=40")
			continue
		}
		d.assignment("override "+o, path, value)
	}
	c.adapt(func(path string) bool { _, ok := d.from[path]; return ok })
	found, sound := c.checkFields()
	if sound && len(d.problems) == 0 { // relations between half-read values would only confuse
		found = append(found, c.checkRelations()...)
	}
	for _, f := range found {
		d.finding(f)
	}
	if len(d.problems) > 0 {
		return Config{}, &Error{d.problems}
	}
	return c, nil
}

// environment applies SKEIN_SECTION_KEY variables. Others that start with SKEIN_ are left alone unless they start like
// a section: then they are misspelt.
func (d *decoder) environment(environ []string) {
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		key, ours := strings.CutPrefix(name, "SKEIN_")
		if !ours {
			continue
		}
		key = strings.ToLower(key)
		if f, ok := d.variable(key); ok {
			d.assignment(e, f.path, value)
			continue
		}
		for _, s := range sections() {
			if rest, ok := strings.CutPrefix(key, s+"_"); ok {
				d.unknown(place{origin: e}, s, rest)
			}
		}
	}
}

func (d *decoder) variable(key string) (field, bool) {
	for _, f := range d.fields {
		if strings.ReplaceAll(f.path, ".", "_") == key {
			return f, true
		}
	}
	return field{}, false
}

// finding reports what a check found at the first of its fields that somebody wrote down.
func (d *decoder) finding(f finding) {
	for _, path := range f.paths {
		if at, ok := d.from[path]; ok {
			d.report(at, path, f.message, f.hint)
			return
		}
	}
	d.report(place{}, f.paths[0], f.message, f.hint)
}
