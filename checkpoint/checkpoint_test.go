package checkpoint_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/checkpoint/storetest"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
)

const limit = 1 << 30

// must unwraps a result that a test cannot go on without.
func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func memory(t testing.TB) checkpoint.Store {
	t.Helper()
	return must(ipfs.Memory(t.Context(), ipfs.Options{}))(t)
}

// model is small, with two fragments as Streaming DiLoCo cuts them.
func model() (configs.Model, gradients.Layout) {
	m := configs.Model{Arch: "llama", HiddenSize: 4, IntermediateSize: 6, NumHiddenLayers: 1, NumAttentionHeads: 2, NumKeyValueHeads: 1,
		VocabSize: 256, MaxPositions: 16, TieWordEmbeddings: true, RopeTheta: 10000, RMSNormEps: 1e-5}
	return m, gradients.Layout{
		{Name: "model.layers.0.input_layernorm.weight", Shape: []int{4}},
		{Name: "model.layers.0.mlp.up_proj.weight", Shape: []int{6, 4}, Off: 4},
		{Name: "model.embed_tokens.weight", Shape: []int{256, 4}, Off: 28, Fragment: 1},
		{Name: "model.norm.weight", Shape: []int{4}, Off: 1052, Fragment: 1},
	}
}

func vector(n int, seed uint32) gradients.Vec {
	v := make(gradients.Vec, n)
	for i := range v {
		seed = seed*1664525 + 1013904223
		v[i] = float32(int32(seed)) / math.MaxInt32
	}
	v[0] = float32(math.NaN()) // a checkpoint keeps every bit, whatever it means
	return v
}

// run is a history of one worker and the state after each of its rounds.
type run struct {
	manifest     aggregator.SignedManifest
	certificates []*aggregator.Certificate // the genesis, the rounds, the closing
	states       []*checkpoint.Checkpoint  // after round 0, 1, …
}

func newRun(t testing.TB, rounds int) *run {
	t.Helper()
	model, layout := model()
	owner, worker := aggregator.NewSigner([32]byte{1}), aggregator.NewSigner([32]byte{2})
	tokenizer := must(checkpoint.NewTokenizer(must(shards.NewTokenizer("byte"))(t)))(t)
	r, recipe := &run{}, []byte("name: test\n")
	for n := range rounds + 1 {
		c := &checkpoint.Checkpoint{
			Recipe: recipe, Model: model, Tokenizer: tokenizer, Layout: layout, Seq: aggregator.Seq(n), Step: uint64(10 * n),
			Anchor: vector(layout.Len(), uint32(3*n)), Outer: []gradients.Vec{vector(layout.Len(), uint32(3*n+1))},
		}
		c.Root = aggregator.Root(layout.Fragments(), c.Anchor, c.Outer)
		r.states = append(r.states, c)
	}
	r.manifest = owner.SignManifest(aggregator.Manifest{
		Name: "test", Committee: []aggregator.PeerID{owner.ID}, Method: "diloco", Codec: "f32", Topology: aggregator.All,
		Schedule:   aggregator.Schedule{Every: 20, Fragments: 2, Steps: uint64(10 * rounds)},
		Parameters: uint64(layout.Len()), LayoutHash: aggregator.LayoutHash(layout), FirstRoot: r.states[0].Root,
		RecipeHash: sha256.Sum256(recipe), BatchSize: 2, SeqLen: 8, Sequences: 1000, MinPeers: 1, Deadline: 1000,
	})
	out := func(c *aggregator.Certificate) { r.certificates = append(r.certificates, c) }
	member := must(aggregator.NewMember(t.Context(), &r.manifest.Manifest, owner, aggregator.NewMemoryLog(), []aggregator.PeerID{worker.ID}, out))(t)
	do := func(events func(*aggregator.Rounds) error) {
		t.Helper()
		var failed error
		if err := member.Do(t.Context(), func(m *aggregator.Rounds) { failed = events(m) }); err != nil || failed != nil {
			t.Fatal(err, failed)
		}
	}
	s := r.manifest.Schedule
	for n := aggregator.Seq(1); n <= s.Rounds(); n++ {
		h := worker.SignHeader(aggregator.Header{
			Run: r.manifest.Hash(), Key: s.Key(n), Base: s.Base(n), BaseRoot: r.states[s.Base(n)].Root, Tokens: 160, Size: 1,
		})
		do(func(m *aggregator.Rounds) error { return m.Offer(h) })
	}
	do(func(m *aggregator.Rounds) error {
		m.Reached(worker.ID, s.Rounds(), r.states[rounds].Root)
		return nil
	})
	if len(r.certificates) != rounds+2 {
		t.Fatalf("%d certificates of %d rounds", len(r.certificates), rounds)
	}
	for n, c := range r.states {
		c.Manifest, c.Certificates = r.manifest, r.certificates[:n+1]
	}
	return r
}

func same(t *testing.T, got, want gradients.Vec) {
	t.Helper()
	if !bytes.Equal(gradients.AppendBytes(nil, got), gradients.AppendBytes(nil, want)) {
		t.Error("a vector changed")
	}
}

func TestACheckpointComesBackBitForBit(t *testing.T) {
	store, want := memory(t), newRun(t, 2).states[2]
	want.Parent = "bafyparent"
	cid := must(checkpoint.Write(t.Context(), store, want))(t)
	folder := must(store.Open(t.Context(), cid))(t)
	got := must(checkpoint.Read(folder, limit))(t)
	same(t, got.Anchor, want.Anchor)
	same(t, got.Outer[0], want.Outer[0])
	if got.Model != want.Model || got.Seq != 2 || got.Step != 20 || got.Root != want.Root || got.Parent != "bafyparent" ||
		!bytes.Equal(got.Recipe, want.Recipe) || got.Tokenizer.Name != "byte" || !bytes.Equal(got.Tokenizer.JSON, want.Tokenizer.JSON) {
		t.Errorf("got %+v", got)
	}
	if again := must(checkpoint.Write(t.Context(), memory(t), got))(t); again != cid {
		t.Errorf("written again it is %s, it was %s", again, cid)
	}
}

func TestTheFolderIsHuggingFaces(t *testing.T) {
	store := memory(t)
	cid := must(checkpoint.Write(t.Context(), store, newRun(t, 1).states[1]))(t)
	folder := must(store.Open(t.Context(), cid))(t)
	var names []string
	_ = fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	want := "config.json generation_config.json model.safetensors skein/certificates.bin skein/manifest.bin skein/outer.safetensors skein/recipe.json skein/state.json tokenizer.json tokenizer_config.json"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("files %s", got)
	}
	config := string(must(fs.ReadFile(folder, "config.json"))(t))
	for _, line := range []string{`"LlamaForCausalLM"`, `"model_type": "llama"`, `"vocab_size": 256,`, `"hidden_size": 4,`, `"intermediate_size": 6,`,
		`"num_hidden_layers": 1,`, `"num_attention_heads": 2,`, `"num_key_value_heads": 1,`, `"head_dim": 2,`, `"hidden_act": "silu"`,
		`"max_position_embeddings": 16,`, `"rms_norm_eps": 0.00001,`, `"rope_theta": 10000,`, `"tie_word_embeddings": true,`} {
		if !strings.Contains(config, line) {
			t.Errorf("config.json has no %s:\n%s", line, config)
		}
	}
}

// With QK-norm the same model is what transformers calls Qwen 3.
func TestHeadNormsMakeItQwen3(t *testing.T) {
	store, want := memory(t), newRun(t, 1).states[1]
	want.Model.QKNorm = true
	cid := must(checkpoint.Write(t.Context(), store, want))(t)
	folder := must(store.Open(t.Context(), cid))(t)
	config := string(must(fs.ReadFile(folder, "config.json"))(t))
	for _, line := range []string{`"Qwen3ForCausalLM"`, `"model_type": "qwen3"`} {
		if !strings.Contains(config, line) {
			t.Errorf("config.json has no %s:\n%s", line, config)
		}
	}
	if got := must(checkpoint.Read(folder, limit))(t); got.Model != want.Model {
		t.Errorf("the model comes back as %+v, it was %+v", got.Model, want.Model)
	}
}

// TestPythonReadsTheTensors reads model.safetensors with nothing but its description.
func TestPythonReadsTheTensors(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	store, c := memory(t), newRun(t, 1).states[1]
	cid := must(checkpoint.Write(t.Context(), store, c))(t)
	dir := filepath.Join(t.TempDir(), "out")
	if err := checkpoint.Export(t.Context(), must(store.Open(t.Context(), cid))(t), dir, limit); err != nil {
		t.Fatal(err)
	}
	const script = `
import json, struct, sys
b = open(sys.argv[1] + "/model.safetensors", "rb").read()
n, = struct.unpack("<Q", b[:8])
out = []
for name, t in json.loads(b[8:8+n]).items():
    if name != "__metadata__":
        lo, hi = t["data_offsets"]
        v = struct.unpack("<%df" % ((hi - lo) // 4), b[8+n+lo:8+n+hi])
        out.append("%s %s %r" % (name, t["shape"], v[1]))
json.load(open(sys.argv[1] + "/config.json")); json.load(open(sys.argv[1] + "/tokenizer.json"))
print("\n".join(out))`
	got, err := exec.CommandContext(t.Context(), python, "-c", script, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	lines := strings.Split(strings.TrimSpace(string(got)), "\n")
	if len(lines) != len(c.Layout) || !strings.HasPrefix(lines[1], "model.layers.0.mlp.up_proj.weight [6, 4] ") {
		t.Errorf("python read\n%s", got)
	}
}

func TestVerifySaysWhatItChecked(t *testing.T) {
	r := newRun(t, 2)
	finished := *r.states[2]
	finished.Certificates = r.certificates
	for name, c := range map[string]struct {
		state     *checkpoint.Checkpoint
		certified bool
	}{"first": {r.states[0], true}, "middle": {r.states[1], false}, "finished": {&finished, true}} {
		store := memory(t)
		cid := must(checkpoint.Write(t.Context(), store, c.state))(t)
		report, err := checkpoint.Verify(t.Context(), store, cid, limit)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		says := slices.ContainsFunc(report.NotChecked, func(s string) bool { return strings.Contains(s, "the committee agrees") })
		if says == c.certified || len(report.Passed) < 6 || report.Root != c.state.Root || report.Blocks == 0 {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

// contents reads a whole folder.
func contents(t *testing.T, store checkpoint.Store, cid string) map[string]string {
	t.Helper()
	folder, out := must(store.Open(t.Context(), cid))(t), map[string]string{}
	if err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out[name] = string(must(fs.ReadFile(folder, name))(t))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTamperingIsFound changes one file and stores the folder anew, so that every block fits its CID.
func TestTamperingIsFound(t *testing.T) {
	store, r := memory(t), newRun(t, 3)
	honest := contents(t, store, must(checkpoint.Write(t.Context(), store, r.states[2]))(t))
	other := contents(t, store, must(checkpoint.Write(t.Context(), store, r.states[1]))(t))
	refused := func(what string, files map[string]string) {
		t.Helper()
		cid := must(store.Add(t.Context(), what, storetest.Files(files)))(t)
		if _, err := checkpoint.Verify(t.Context(), store, cid, limit); !errors.Is(err, checkpoint.ErrForged) && !errors.Is(err, checkpoint.ErrMalformed) {
			t.Errorf("%s: error %v", what, err)
		}
	}
	for _, name := range []string{"model.safetensors", "skein/outer.safetensors", "skein/certificates.bin", "skein/manifest.bin", "skein/recipe.json"} {
		for at := 0; at < len(honest[name]); at += 1 + len(honest[name])/40 {
			files := maps.Clone(honest)
			b := []byte(files[name])
			b[at] ^= 4
			files[name] = string(b)
			if name == "model.safetensors" && strings.HasPrefix(honest[name][at:], " ") {
				continue // padding of the header
			}
			refused(name, files)
		}
		files := maps.Clone(honest)
		files[name] = files[name][:len(files[name])-1]
		refused(name+" cut", files)
		delete(files, name)
		refused("no "+name, files)
	}
	for _, name := range []string{"model.safetensors", "skein/outer.safetensors", "skein/state.json"} {
		files := maps.Clone(honest)
		files[name] = other[name]
		refused(name+" of another round", files)
	}
	for old, forged := range map[string]string{
		`"seq": 2`: `"seq": 3`, `"version": 1`: `"version": 2`, `"outer_slots": 1`: `"outer_slots": 0`, `"root": "`: `"root": "0`,
		`"codec"`: `"unknown"`, `"outer_slots": 1,`: `"outer_slots": -1,`, `"fragments": [`: `"fragments": [ 1, `,
	} {
		files := maps.Clone(honest)
		files["skein/state.json"] = strings.Replace(files["skein/state.json"], old, forged, 1)
		refused("state.json with "+forged, files)
	}
}

func TestReadStaysWithinItsBudget(t *testing.T) {
	store := memory(t)
	cid := must(checkpoint.Write(t.Context(), store, newRun(t, 1).states[1]))(t)
	folder := must(store.Open(t.Context(), cid))(t)
	if _, err := checkpoint.Read(folder, 4096); !errors.Is(err, checkpoint.ErrMalformed) {
		t.Errorf("error %v", err)
	}
}

func TestWriteRefusesPartsThatDoNotFit(t *testing.T) {
	for name, spoil := range map[string]func(*checkpoint.Checkpoint){
		"short anchor":    func(c *checkpoint.Checkpoint) { c.Anchor = c.Anchor[1:] },
		"short slot":      func(c *checkpoint.Checkpoint) { c.Outer[0] = c.Outer[0][1:] },
		"no certificates": func(c *checkpoint.Checkpoint) { c.Certificates = nil },
		"no vocabulary":   func(c *checkpoint.Checkpoint) { c.Model.VocabSize = 0 },
		"other layout":    func(c *checkpoint.Checkpoint) { c.Layout = c.Layout[:2] },
	} {
		c := newRun(t, 1).states[1]
		spoil(c)
		if _, err := checkpoint.Write(t.Context(), memory(t), c); err == nil {
			t.Errorf("%s: it was written", name)
		}
	}
}
