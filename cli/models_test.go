package cli

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dustin/go-humanize"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/trainer"
)

var update = flag.Bool("update", false, "write the headers of configs/models and the table of its README.md again")

// preset is one of configs/models with its arithmetic.
type preset struct {
	file, text string
	cfg        configs.Config
	params     int
	flops      int64 // of one token
	memory     trainer.Footprint
	tokens     int64 // of the whole run
}

// presets are the run files of configs/models, small ones first.
func presets(t *testing.T) (out []preset) {
	t.Helper()
	files, err := filepath.Glob("../configs/models/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no run files found")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p := preset{file: file, text: string(text)}
		if p.cfg, err = configs.Load(file, nil); err != nil {
			t.Fatal(err)
		}
		c, vocab := p.cfg, vocabOf(p.cfg)
		layout, err := trainer.LayoutOf(modelOf(c, vocab), c.Sync.Fragments)
		if err != nil {
			t.Fatal(err)
		}
		p.params, p.flops = layout.Len(), trainer.FLOPs(modelOf(c, vocab), c.Data.SeqLen)
		if p.memory, err = trainer.Measure(replicaOptions(c, vocab), silence{vocab: vocab, seqLen: c.Data.SeqLen}); err != nil {
			t.Fatal(err)
		}
		p.tokens = int64(c.Train.Steps) * int64(c.Swarm.LocalWorkers) * int64(c.Train.BatchSize) * int64(c.Data.SeqLen)
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b preset) int { return a.params - b.params })
	return out
}

// header is the arithmetic on top of the file.
func (p preset) header() []string {
	m, count := modelOf(p.cfg, vocabOf(p.cfg)), func(n int64) string { return humanize.Comma(n) }
	kv := m.NumKeyValueHeads * m.HeadDim()
	embedding := "embedding, which is the head too"
	if !m.TieWordEmbeddings {
		embedding = "embedding and head, each"
	}
	line := func(what, format string, args ...any) string {
		return fmt.Sprintf("#   %-14s  %s", what, fmt.Sprintf(format, args...))
	}
	mem := p.memory
	return []string{
		line("parameters", "%s = %d·%d (%s) + %d · (2·%d·%d + 2·%d·%d attention + 3·%d·%d feed-forward + 2·%d norms) + %d", count(int64(p.params)),
			m.VocabSize, m.HiddenSize, embedding, m.NumHiddenLayers, m.HiddenSize, m.HiddenSize, m.HiddenSize, kv, m.HiddenSize, m.IntermediateSize, m.HiddenSize, m.HiddenSize),
		line("FLOPs a token", "%s = 6 · (%s weights in matrices, the head among them + %d·%d·%d causal attention), forward and backward", count(p.flops),
			count(p.flops/6-int64(m.NumHiddenLayers*m.HiddenSize*p.cfg.Data.SeqLen)), m.NumHiddenLayers, m.HiddenSize, p.cfg.Data.SeqLen),
		line("a replica", "%s = parameters %s + gradients %s + optimizer %s + activations of a micro-batch %s", size(mem.Total()-mem.Evaluation),
			size(mem.Parameters), size(mem.Gradients), size(mem.Optimizer), size(mem.Activations)),
		line("tokens", "%s = %d steps · %d · %d sequences · %d: %.1f for each parameter", count(p.tokens), p.cfg.Train.Steps, p.cfg.Swarm.LocalWorkers,
			p.cfg.Train.BatchSize, p.cfg.Data.SeqLen, float64(p.tokens)/float64(p.params)),
		line("work", "%.2g FLOPs: %s at 10^12 a second", float64(p.tokens)*float64(p.flops), span(float64(p.tokens)*float64(p.flops)/1e12)),
		line("learning rate", "%s = 6e-4 · (124M / parameters)^(1/3)", strings.Replace(fmt.Sprintf("%.1e", rule(p.params)), "e-0", "e-", 1)),
	}
}

// rule is the presets' peak learning rate: GPT-3's for 124M parameters (arXiv 2005.14165, table 2.1), and from there by the cube root.
func rule(params int) float64 { return 6e-4 * math.Cbrt(124e6/float64(params)) }

// span is a length of time, for people.
func span(seconds float64) string {
	for _, u := range []struct {
		name    string
		seconds float64
	}{{"years", 365 * 86400}, {"days", 86400}, {"hours", 3600}, {"minutes", 60}} {
		if n := seconds / u.seconds; n >= 2 {
			return fmt.Sprintf("%.0f %s", n, u.name)
		}
	}
	return fmt.Sprintf("%.0f seconds", seconds)
}

// audience is the first line's "For …".
func (p preset) audience() string {
	first, _, _ := strings.Cut(p.text, "\n")
	return strings.TrimSuffix(strings.TrimPrefix(first, "# For "), ".")
}

// The arithmetic on top of every file of configs/models is that of the file.
func TestModelHeaders(t *testing.T) {
	for _, p := range presets(t) {
		head, body := cutHeader(p.text)
		want := p.header()
		if *update {
			first, _, _ := strings.Cut(p.text, "\n")
			if err := os.WriteFile(p.file, []byte(first+"\n#\n"+strings.Join(want, "\n")+"\n"+body), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for i, line := range want {
			if i >= len(head) || head[i] != line {
				t.Errorf("%s: stale (run this test with -update); line %d should be\n%s", p.file, 3+i, line)
			}
		}
		if len(head) > len(want) {
			t.Errorf("%s: %d lines too many", p.file, len(head)-len(want))
		}
	}
}

// cutHeader cuts a file into the lines of its arithmetic and what follows them.
func cutHeader(text string) (head []string, body string) {
	_, rest, _ := strings.Cut(text, "\n#\n")
	for strings.HasPrefix(rest, "#   ") {
		line, after, _ := strings.Cut(rest, "\n")
		head, rest = append(head, line), after
	}
	return head, rest
}

// The presets are a row from one million to a billion, each sound by itself.
func TestModelsAreSensible(t *testing.T) {
	all := presets(t)
	for _, p := range all {
		m := modelOf(p.cfg, vocabOf(p.cfg))
		if base := strings.TrimSuffix(filepath.Base(p.file), ".yaml"); p.cfg.Name != base || nominal(base) < .9*float64(p.params) || nominal(base) > 1.1*float64(p.params) {
			t.Errorf("%s: run %q has %d parameters", p.file, p.cfg.Name, p.params)
		}
		if d := m.HeadDim(); d != 64 && (d != 32 || p.params > 2e6) {
			t.Errorf("%s: heads of %d", p.file, d)
		}
		if lr := p.cfg.Inner.LR; math.Abs(lr/rule(p.params)-1) > .05 {
			t.Errorf("%s: inner.lr %g, the rule says %.2g", p.file, lr, rule(p.params))
		}
		if each := float64(p.tokens) / float64(p.params); each < 19 || each > 21 {
			t.Errorf("%s: %.1f tokens for each parameter, about 20 are meant", p.file, each)
		}
	}
	if first, last := all[0].params, all[len(all)-1].params; first > 1.1e6 || last < .9e9 {
		t.Errorf("from %d to %d parameters", first, last)
	}
}

// nominal is the size that a name such as "350m" promises.
func nominal(name string) (n float64) {
	var unit string
	_, _ = fmt.Sscanf(name, "%g%s", &n, &unit)
	return n * map[string]float64{"m": 1e6, "b": 1e9}[unit]
}

// The table in README.md beside the presets is theirs.
func TestModelTable(t *testing.T) {
	const file = "../configs/models/README.md"
	rows := []string{"| file | parameters | a replica | FLOPs a token | the whole run | for |", "|---|---|---|---|---|---|"}
	for _, p := range presets(t) {
		rows = append(rows, fmt.Sprintf("| [%s](%[1]s) | %s | %s | %.2g | %.2g FLOPs | %s |", filepath.Base(p.file), humanize.Comma(int64(p.params)),
			size(p.memory.Total()-p.memory.Evaluation), float64(p.flops), float64(p.tokens)*float64(p.flops), p.audience()))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), "| file |")
	at := strings.LastIndex(rest, "|\n")
	want := before + strings.Join(rows, "\n") + rest[at+1:]
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("%s: stale (run this test with -update); the table should be\n%s", file, strings.Join(rows, "\n"))
	}
}
