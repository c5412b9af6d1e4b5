package configs

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"
	"pgregory.net/rapid"
)

func mustParse(t *testing.T, src string) Config {
	t.Helper()
	c, err := Parse([]byte(src))
	if err != nil {
		t.Fatalf("%s\n%v", src, err)
	}
	return c
}

func TestDefaultLacksOnlyTheSource(t *testing.T) {
	c := Default()
	err := c.Validate()
	if err == nil || !strings.Contains(err.Error(), "data.source is missing") || strings.Contains(err.Error(), "problems") {
		t.Fatalf("want one problem, the missing source; got %v", err)
	}
	c.Data.Source = "enwik7"
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestPrecedence(t *testing.T) {
	src := []byte("data: {source: enwik7}\nsync: {every: 10, codec: f32}\ntrain: {steps: 800}\n")
	c, err := load("dir/my-run.yaml", src, []string{"SKEIN_SYNC_EVERY=40", "SKEIN_DATA_SEQ_LEN=64", "SKEIN_HOME=/x", "HOME=/root"}, []string{"sync.every=80", "name=other"})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Name, want.Data.Source, want.Data.SeqLen = "other", "enwik7", 64
	want.Sync.Every, want.Sync.Codec, want.Train.Steps = 80, "f32", 800
	if !reflect.DeepEqual(c, want) {
		t.Fatalf("got\n%s\nwant\n%s", c.Resolved(), want.Resolved())
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "night.yaml")
	if err := os.WriteFile(file, []byte("data: {source: enwik7}\r\nsync: {deadline: 1m30s}\r\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SKEIN_SWARM_UP", "1.5MB/s")
	c, err := Load(file, []string{"swarm.listen=[/ip4/127.0.0.1/tcp/0, /ip4/127.0.0.1/udp/0/quic-v1]", "inner.betas=[0.8, 0.99]"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "night" || c.Sync.Deadline != 90*time.Second || c.Swarm.Up != 1_500_000 || len(c.Swarm.Listen) != 2 || c.Inner.Betas != [2]float64{0.8, 0.99} {
		t.Fatalf("got\n%s", c.Resolved())
	}
	if _, err := Load(file+"x", nil); err == nil || !strings.Contains(err.Error(), "night.yamlx") {
		t.Fatalf("a missing file: %v", err)
	}
}

// Everything that YAML offers for numbers and text means what a person would think.
func TestScalars(t *testing.T) {
	c := mustParse(t, `
seed: 18446744073709551615
name: "007"
data: {source: 'a*.txt b.txt', seq_len: 1_024}
inner: {lr: 3e-3, eps: 1E-8, weight_decay: 0, grad_clip: .5}
model: {tie_word_embeddings: true}
swarm: {up: 0, down: 2 MiB/s}
checkpoint: {remote: }
`)
	if c.Seed != math.MaxUint64 || c.Name != "007" || c.Data.Source != "a*.txt b.txt" || c.Data.SeqLen != 1024 ||
		c.Inner.LR != 0.003 || c.Inner.Eps != 1e-8 || c.Inner.GradClip != 0.5 || !c.Model.TieWordEmbeddings || c.Swarm.Down != 2<<20 {
		t.Fatalf("got\n%s", c.Resolved())
	}
}

func TestDDPFillsWhatItFixes(t *testing.T) {
	c := mustParse(t, "data: {source: enwik7}\nouter: {method: ddp}\n")
	if c.Sync.Every != 1 || c.Outer.Optimizer != "adamw" {
		t.Fatalf("every %d, optimizer %s", c.Sync.Every, c.Outer.Optimizer)
	}
}

func TestResolvedComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Default()
		c.Name = rapid.StringMatching(`[a-z0-9_][a-zA-Z0-9._-]{0,20}[a-z0-9]`).Draw(t, "name")
		c.Seed = rapid.Uint64().Draw(t, "seed")
		c.Data.Source = rapid.StringMatching(`[!-~é]([ -~äßτ]|\t){0,30}[!-~]`).Draw(t, "source")
		c.Inner.LR = rapid.Float64Range(1e-12, 10).Draw(t, "lr")
		c.Sync.Deadline = time.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(24*time.Hour)).Draw(t, "deadline"))
		c.Swarm.Up = Rate(rapid.Uint64Range(0, 1<<50).Draw(t, "up"))
		back, err := Parse(c.Resolved())
		if err != nil {
			t.Fatalf("%v\n%s", err, c.Resolved())
		}
		if !bytes.Equal(back.Resolved(), c.Resolved()) || back.Data.Source != c.Data.Source || back.Inner.LR != c.Inner.LR ||
			back.Sync.Deadline != c.Sync.Deadline || back.Swarm.Up != c.Swarm.Up {
			t.Fatalf("wrote\n%s\nread\n%s", c.Resolved(), back.Resolved())
		}
	})
}

// The run files of the repository are valid, and the arithmetic on top of them is right.
func TestRunFiles(t *testing.T) {
	for file, payload := range map[string]func(blocks, params int) int{
		"tiny.yaml": func(blocks, params int) int { return 16 + 4*blocks + params },
		"ddp.yaml":  func(_, params int) int { return 16 + 2*params },
	} {
		t.Run(file, func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := mustParse(t, string(src))
			params, blocks := 0, 0
			for _, n := range tensorSizes(c) {
				params += n
				blocks += (n + 4095) / 4096 // elements that share an int8 scale
			}
			workers, rounds := c.Swarm.LocalWorkers, c.Train.Steps/c.Sync.Every
			figures := []int{params, rounds, payload(blocks, params), rounds * (workers - 1) * payload(blocks, params),
				2 * (workers - 1) * 2 * params * c.Train.Steps / workers}
			if file == "tiny.yaml" {
				validation := int(math.Round(c.Data.ValFraction * 10_000_000))
				sequences := c.Train.Steps * workers * c.Train.BatchSize
				figures = append(figures, 10_000_000-validation, (10_000_000-validation-1)/c.Data.SeqLen, validation, (validation-1)/c.Data.SeqLen,
					sequences, sequences*c.Data.SeqLen, blocks)
			}
			for _, n := range figures {
				if !strings.Contains(string(src), humanize.Comma(int64(n))) {
					t.Errorf("the comments on top lack the figure %s", humanize.Comma(int64(n)))
				}
			}
		})
	}
}

func tensorSizes(c Config) []int {
	m := c.Model
	d, kv := m.HiddenSize, m.HiddenSize/m.NumAttentionHeads*m.NumKeyValueHeads
	sizes := []int{vocabOf(c.Data.Tokenizer) * d, vocabOf(c.Data.Tokenizer) * d, d}
	for range m.NumHiddenLayers {
		sizes = append(sizes, d*d, kv*d, kv*d, d*d, d*m.IntermediateSize, d*m.IntermediateSize, d*m.IntermediateSize, d, d)
	}
	return sizes
}

func TestSchema(t *testing.T) {
	s, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/schema.json", string(s))
	var root struct {
		Required             []string
		AdditionalProperties any
		Properties           map[string]struct {
			Properties map[string]struct {
				Description, Type string
			}
		}
	}
	if err := json.Unmarshal(s, &root); err != nil {
		t.Fatal(err)
	}
	c := Default()
	for _, f := range fieldsOf(&c) {
		section, key, found := strings.Cut(f.path, ".")
		if found && root.Properties[section].Properties[key].Description != f.tag.Get("doc") || f.tag.Get("doc") == "" {
			t.Errorf("%s has no description", f.path)
		}
	}
	if root.AdditionalProperties != false || len(root.Required) != 1 {
		t.Errorf("additional properties %v, required %v", root.AdditionalProperties, root.Required)
	}
}

// Every entry in the table of synonyms leads to a key that exists.
func TestSynonymsLeadSomewhere(t *testing.T) {
	c := Default()
	d := newDecoder(&c)
	for _, s := range synonyms() {
		if _, ok := d.find(s[0]); !ok {
			t.Errorf("there is no key %s", s[0])
		}
	}
	for name, want := range map[string]string{"H": "sync.every", "inner_steps": "sync.every", "n_layer": "model.num_hidden_layers", "lr": "inner.lr", "outer_lr": "outer.lr"} {
		if got := suggest(d.fields, "", name); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %s", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"every", "every", 0}, {"evry", "every", 1}, {"evrey", "every", 1}, {"abc", "", 3}, {"codec", "decode", 3}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// Hostile text gives an error with a place inside the text, never a panic; what is accepted is valid and comes back.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range append(files, "tiny.yaml", "ddp.yaml") {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Parse(src)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatal("an empty error")
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("accepted, but not valid: %v", err)
		}
		back, err := Parse(c.Resolved())
		if err != nil || !reflect.DeepEqual(normal(back), normal(c)) {
			t.Fatalf("%v\nwrote\n%s\nread\n%s", err, c.Resolved(), back.Resolved())
		}
	})
}

// normal makes empty lists comparable.
func normal(c Config) Config {
	if len(c.Swarm.Listen) == 0 {
		c.Swarm.Listen = nil
	}
	if len(c.Checkpoint.Remote) == 0 {
		c.Checkpoint.Remote = nil
	}
	return c
}
