package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MaxRecipe bounds a recipe, in bytes.
const MaxRecipe = 64 << 10

// fromTheSwarm stands for data.source where the tokens come from peers.
const fromTheSwarm = "swarm"

// Recipe writes what all machines of a run share: the run file without the keys that concern one machine only (tag local).
// It is canonical JSON: one object of paths and values in the order of the run file, without spaces; durations are
// nanoseconds. Its hash is in the run's manifest, and it is what strangers are given: no YAML travels.
func (c Config) Recipe() []byte {
	var b bytes.Buffer
	for _, f := range fieldsOf(&c) {
		if f.local() {
			continue
		}
		value, err := json.Marshal(f.value.Interface())
		if err != nil {
			panic(err) // validated: finite numbers and text
		}
		separator := ","
		if b.Len() == 0 {
			separator = "{"
		}
		fmt.Fprintf(&b, "%s%q:%s", separator, f.path, value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// ParseRecipe reads a recipe, which may come from anybody. It takes canonical bytes only, and what it returns is valid. The
// keys that are not in it have their defaults.
func ParseRecipe(src []byte) (Config, error) {
	c, err := parseRecipe(src)
	if err != nil {
		return Config{}, fmt.Errorf("recipe of the run: %w", err)
	}
	return c, nil
}

func parseRecipe(src []byte) (Config, error) {
	if len(src) > MaxRecipe {
		return Config{}, fmt.Errorf("%d bytes, at most %d are allowed", len(src), MaxRecipe)
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(src, &values); err != nil {
		return Config{}, err
	}
	c := Default()
	for _, f := range fieldsOf(&c) {
		if v, ok := values[f.path]; ok && !f.local() {
			if err := json.Unmarshal(v, f.value.Addr().Interface()); err != nil {
				return Config{}, fmt.Errorf("%s: %w", f.path, err)
			}
		}
	}
	if !bytes.Equal(c.Recipe(), src) { // a key too many, too few, twice or in another form
		return Config{}, fmt.Errorf("it is not in its canonical form: it comes from another version of skein")
	}
	c.Data.Source = fromTheSwarm

	return c, c.Validate()
}

// local says that the key concerns one machine only.
func (f field) local() bool { return f.tag.Get("local") != "" }
