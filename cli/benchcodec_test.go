package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skein-train/skein/gradients"
)

// bench runs `skein bench codec` and returns what it printed.
func benchCodec(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{"bench", "codec"}, args...))
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// Two rounds of one value each: bits include the header, and what feedback leaves is a part of the sum.
func TestCodecLossByHand(t *testing.T) {
	l := gradients.Layout{{Name: "a", Shape: []int{2}}}
	v := vectors{l, []gradients.Vec{{4, 3}, {4, 3}}}
	loss, err := lossOf("topk:1/2+f32", v)
	if err != nil {
		t.Fatal(err)
	}
	// a round sends 4 of (4, 3), which loses 3/5; with feedback the second one sends 6 of (4, 6)
	want := codecLoss{BitsPerParam: 8 * (16 + 2 + 4) / 2, Error: .6, WithFeedback: 4 / math.Hypot(8, 6)}
	if loss.BitsPerParam != want.BitsPerParam || math.Abs(loss.Error-want.Error) > 1e-7 || math.Abs(loss.WithFeedback-want.WithFeedback) > 1e-7 {
		t.Errorf("got %+v, want %+v", loss, want)
	}
}

func TestBenchCodecTrainsForItsVectors(t *testing.T) {
	dir := t.TempDir()
	file, text := filepath.Join(dir, "run.yaml"), filepath.Join(dir, "text")
	for name, content := range map[string]string{
		text: strings.Repeat("What the swarm sends is little; what it loses is to be seen. ", 400),
		file: "data: {source: " + text + ", seq_len: 16}\n" +
			"model: {hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 2}\n" +
			"inner: {warmup_steps: 1}\nsync: {every: 2}\ntrain: {steps: 8, batch_size: 2, micro_batch_size: 2, engine: reference}\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := benchCodec(t, "int8", "--json", "--parameters", "5000", "--rounds", "2", "--config", file, "--runs", filepath.Join(dir, "runs"))
	if err != nil {
		t.Fatal(err)
	}
	var found []codecMeasurement
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	m := found[0]
	if len(found) != 1 || m.Codec != "int8" || m.Deltas == nil || m.Encode <= 0 || m.Decode <= 0 ||
		m.Gaussian.BitsPerParam != 8*(16+4*2+5000)/5000. || m.Gaussian.Error > .02 || m.Deltas.Error > .02 || m.Deltas.Error == 0 {
		t.Errorf("%+v %+v", m, m.Deltas)
	}
}

func TestBenchCodecNamesAMistake(t *testing.T) {
	if _, err := benchCodec(t, "topk:64/4096", "--rounds", "0"); err == nil || !strings.Contains(err.Error(), "+2bit") {
		t.Errorf("got error %v", err)
	}
}
