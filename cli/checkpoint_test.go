package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/checkpoint/storetest"
)

// checkpointVerb runs `skein checkpoint ARGS` and returns what it prints.
func checkpointVerb(t *testing.T, runs string, args ...string) (string, error) {
	t.Helper()
	return checkpointVerbIn(t.Context(), runs, args...)
}

func checkpointVerbIn(ctx context.Context, runs string, args ...string) (string, error) {
	root := &cobra.Command{Use: "skein", SilenceUsage: true, SilenceErrors: true}
	root.PersistentFlags().String("runs", runs, "")
	root.AddCommand(newCheckpointCommand())
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(append([]string{"checkpoint"}, args...))
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

// runWithCheckpoints makes a run whose store holds the second of two checkpoints. They are no whole ones.
func runWithCheckpoints(t *testing.T) (runs, gone, kept string) {
	t.Helper()
	runs = t.TempDir()
	d := runDir(filepath.Join(runs, "tiny"))
	store, err := ipfs.Open(t.Context(), d.ipfs(), ipfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() }) // it stays open, as beside a run
	kept, err = store.Add(t.Context(), "kept", storetest.Files(map[string]string{"model.safetensors": strings.Repeat("x", 2048), "skein/state.json": ""}))
	if err != nil {
		t.Fatal(err)
	}
	gone, loss := "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354", 1.25
	index := checkpoint.OpenIndex(d.checkpoints())
	for _, r := range []checkpoint.Record{{Seq: 5, Step: 100, CID: gone}, {Seq: 10, Step: 200, CID: kept, Loss: &loss, Time: time.Unix(0, 0)}} {
		if err := index.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	return runs, gone, kept
}

func TestCheckpointList(t *testing.T) {
	runs, gone, kept := runWithCheckpoints(t)
	for _, args := range [][]string{{"ls"}, {"ls", "tiny"}} {
		out, err := checkpointVerb(t, runs, args...)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 3 || !strings.Contains(lines[1], "collected") || !strings.HasSuffix(lines[1], gone) ||
			!strings.Contains(lines[2], "1.2500") || !strings.Contains(lines[2], "2.0 KiB") || !strings.HasSuffix(lines[2], kept) {
			t.Errorf("%v printed\n%s", args, out)
		}
	}
	out, err := checkpointVerb(t, runs, "ls", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var list []listedCheckpoint
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 || list[0].Kept || !list[1].Kept || list[1].Bytes != 2048 || list[1].Seq != 10 {
		t.Errorf("%+v, error %v", list, err)
	}
	if out, err := checkpointVerb(t, t.TempDir(), "ls"); err != nil || out != "no checkpoints yet\n" {
		t.Errorf("no runs: %q, error %v", out, err)
	}
	if _, err := checkpointVerb(t, runs, "ls", "tinny"); err == nil || !strings.Contains(err.Error(), `no run "tinny"`) {
		t.Errorf("error %v", err)
	}
}

func TestCheckpointGet(t *testing.T) {
	runs, gone, kept := runWithCheckpoints(t)
	for _, name := range []string{"tiny", kept} {
		dir := filepath.Join(t.TempDir(), "out")
		out, err := checkpointVerb(t, runs, "get", name, "--out", dir)
		if err != nil || !strings.Contains(out, "2.0 KiB") {
			t.Fatalf("%q, error %v", out, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "model.safetensors")); err != nil || len(b) != 2048 {
			t.Errorf("%d bytes, error %v", len(b), err)
		}
		if _, err := checkpointVerb(t, runs, "get", name, "--out", dir); err == nil || !strings.Contains(err.Error(), "there already") {
			t.Errorf("into an existing folder: error %v", err)
		}
	}
	if _, err := checkpointVerb(t, runs, "get", gone); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("a collected checkpoint: error %v", err)
	}
	if _, err := checkpointVerb(t, runs, "get", "tinny"); err == nil || !strings.Contains(err.Error(), "neither a run") {
		t.Errorf("a typing error: error %v", err)
	}
}

func TestCheckpointVerifySaysWhatFailed(t *testing.T) {
	runs, _, kept := runWithCheckpoints(t)
	out, err := checkpointVerb(t, runs, "verify", "tiny")
	if !errors.Is(err, checkpoint.ErrMalformed) || !strings.Contains(out, kept) || !strings.Contains(out, "ok           4 blocks match") || !strings.Contains(out, "FAILED") {
		t.Errorf("error %v after\n%s", err, out)
	}
}
