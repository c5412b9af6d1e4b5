package cli

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"skein": func() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// smallRun is the run file of every test: a model and a text so small that a run takes a second or less.
const smallRun = `name: small
model: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 2}
data: {source: text.txt, seq_len: 32}
inner: {warmup_steps: 2}
sync: {codec: int8}
train: {steps: 8, batch_size: 4, micro_batch_size: 4}
swarm: {local_workers: 2, listen: [/ip4/127.0.0.1/tcp/0]}
checkpoint: {every: 2}
eval: {every: 2, batches: 2}
`

// smallText is some 70 kB of text that repeats itself just enough to be learnt.
func smallText() []byte {
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "line %d says %d things in %d words\n", i, i*i*7919%10007, i*31%97)
	}
	return []byte(b.String())
}

// furnish puts the run file and its text into a folder; every is its sync.every.
func furnish(dir string, every int) error {
	file := strings.Replace(smallRun, "sync: {", fmt.Sprintf("sync: {every: %d, ", every), 1)
	if err := os.WriteFile(filepath.Join(dir, "run.yaml"), []byte(file), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "text.txt"), smallText(), 0o644)
}

func TestScripts(t *testing.T) { runScripts(t, "testdata", nil) }

// Scripts about GPUs see emulated ones.
func TestGPUScripts(t *testing.T) {
	runScripts(t, filepath.Join("testdata", "gpu"), map[string]string{driver.Path: cudatest.Emulated(t), "CUBLASLT": cudatest.Products(t)})
}

// runScripts runs a folder's scripts, each in a folder with a run file.
func runScripts(t *testing.T, dir string, environment map[string]string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			for name, value := range environment {
				e.Setenv(name, value)
			}
			return furnish(e.WorkDir, 2)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"field": field, "keys": keys, "lines": lines, "holdport": holdPort,
		},
	})
}

// field sets an environment variable to a value of the JSON object in a file: field VARIABLE FILE KEY.
func field(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], fmt.Sprint(object(ts, ts.ReadFile(args[1]))[args[2]]))
}

// keys checks that the JSON object on a file's last line, or in the whole file, has all these keys: keys FILE KEY….
func keys(ts *testscript.TestScript, _ bool, args []string) {
	text := strings.TrimSpace(ts.ReadFile(args[0]))
	if strings.HasSuffix(args[0], ".jsonl") {
		text = text[strings.LastIndexByte(text, '\n')+1:]
	}
	found := object(ts, text)
	for _, key := range args[1:] {
		if _, ok := found[key]; !ok {
			ts.Fatalf("%s has no %s", args[0], key)
		}
	}
}

func object(ts *testscript.TestScript, text string) (found map[string]any) {
	ts.Check(json.Unmarshal([]byte(text), &found))
	return found
}

// lines checks how many lines a file has: lines FILE N.
func lines(ts *testscript.TestScript, _ bool, args []string) {
	if got := fmt.Sprint(strings.Count(ts.ReadFile(args[0]), "\n")); got != args[1] {
		ts.Fatalf("%s has %s lines, not %s", args[0], got, args[1])
	}
}

// holdPort takes a TCP port until the script ends and sets an environment variable to it: holdport VARIABLE.
func holdPort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
}
