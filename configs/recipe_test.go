package configs

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// What is shared comes back; what concerns one machine stays on it.
func TestRecipe(t *testing.T) {
	files, _ := filepath.Glob("*.yaml")
	if len(files) < 2 {
		t.Fatal("no run files found")
	}
	for _, file := range files {
		c, err := Load(file, []string{"train.threads=3", "data.source=/home/somebody/secret.txt", "swarm.up=1MB/s", "inner.lr=0.00123456789"})
		if err != nil {
			t.Fatal(err)
		}
		src := c.Recipe()
		got, err := ParseRecipe(src)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if !bytes.Equal(got.Recipe(), src) || got.Inner != c.Inner || got.Model != c.Model || got.Sync != c.Sync {
			t.Errorf("%s: another recipe comes back", file)
		}
		if bytes.Contains(src, []byte("secret")) || got.Train.Threads != 0 || got.Swarm.Up != 0 || got.Data.Source != fromTheSwarm {
			t.Errorf("%s: the recipe tells about the machine: %s", file, src)
		}
		if !json.Valid(src) {
			t.Errorf("%s: no JSON: %s", file, src)
		}
	}
}

func TestRecipeRefuses(t *testing.T) {
	c := Default()
	c.Data.Source = "enwik7"
	good := string(c.Recipe())
	for name, bad := range map[string]string{
		"empty":         "",
		"another type":  "[]",
		"space":         good + " ",
		"unknown key":   strings.Replace(good, "{", `{"run.command":"rm -rf","`, 1),
		"key twice":     strings.Replace(good, `"seed":1337`, `"seed":1,"seed":1337`, 1),
		"missing key":   strings.Replace(good, `"seed":1337,`, "", 1),
		"local key":     strings.Replace(good, "}", `,"swarm.up":0}`, 1),
		"out of range":  strings.Replace(good, `"model.hidden_size":128`, `"model.hidden_size":-1`, 1),
		"relation":      strings.Replace(good, `"model.num_attention_heads":4`, `"model.num_attention_heads":3`, 1),
		"unsafe name":   strings.Replace(good, `"name":"run"`, `"name":"../run"`, 1),
		"too long":      `{"name":"` + strings.Repeat("a", MaxRecipe) + `"}`,
		"later feature": strings.Replace(good, `"sync.topology":"all"`, `"sync.topology":"hub"`, 1),
	} {
		if bad == good {
			t.Fatalf("%s: the test changes nothing", name)
		}
		if _, err := ParseRecipe([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseRecipe(f *testing.F) {
	c := Default()
	c.Data.Source = "enwik7"
	f.Add(c.Recipe())
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := ParseRecipe(src)
		if err == nil && !bytes.Equal(c.Recipe(), src) {
			t.Fatalf("accepted %q, which is not canonical", src)
		}
	})
}
