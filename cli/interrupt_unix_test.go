//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skein-train/skein/bench"
)

// program is a call of skein in a folder; TestMain has put the program on PATH.
func program(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "skein", args...)
	cmd.Dir = dir
	return cmd
}

// stateHash reads where a finished run ended.
func stateHash(t *testing.T, dir, run string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "runs", run, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s summary
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return s.StateHash
}

// stopAt sends a signal to the program once it has printed a line that starts like this, and waits for its end.
func stopAt(t *testing.T, cmd *exec.Cmd, line string, signal syscall.Signal) (code int, errs string) {
	t.Helper()
	var b bytes.Buffer
	cmd.Stderr = &b
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), line) {
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), b.String()
}

func TestStoppedRunsEndInTheSameState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := furnish(dir, 10); err != nil {
		t.Fatal(err)
	}
	run := func(name string) []string {
		return []string{"run", "run.yaml", "name=" + name, "train.steps=80", "checkpoint.every=6", "eval.every=0", "sync.error_feedback=0.9"}
	}
	if out, err := program(t, dir, run("whole")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := stateHash(t, dir, "whole")

	code, errs := stopAt(t, program(t, dir, run("ctrl-c")...), "round 3/8", syscall.SIGINT)
	if code != exitInterrupted || errs != "stopped; go on with: skein run runs/ctrl-c --resume\n" {
		t.Errorf("exit code %d after %q", code, errs)
	}
	if code, _ = stopAt(t, program(t, dir, run("kill-9")...), "round 3/8", syscall.SIGKILL); code != -1 {
		t.Errorf("exit code %d after kill -9", code)
	}
	for _, name := range []string{"ctrl-c", "kill-9"} {
		out, err := program(t, dir, "run", "runs/"+name, "--resume").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "resumes after round ") {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if got := stateHash(t, dir, name); got != want {
			t.Errorf("%s ends in %s, undisturbed it is %s", name, got, want)
		}
		all, err := readMetrics(filepath.Join(dir, "runs", name, "metrics.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range all {
			if r.Round != uint64(i+1) || i > 0 && (r.BytesSent <= all[i-1].BytesSent || r.WallS <= all[i-1].WallS) {
				t.Errorf("%s: line %d is of round %d, counters %d and %v s", name, i+1, r.Round, r.BytesSent, r.WallS)
			}
		}
	}
}

func TestAStoppedBenchGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := furnish(dir, 10); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"whole", "ctrl-c"} {
		file := "name: " + name + "\nbase: run.yaml\nset: {train.steps: 30}\nbandwidths: [1e9]\naxes: [{name: method, values: [{label: DiLoCo}, {label: SGD, set: {outer.optimizer: sgd}}]}]\nseeds: [1]\neval: 2\n"
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	outcomes := func(name string) []bench.Outcome {
		out, err := program(t, dir, "bench", name+".yaml", "--json").Output()
		if err != nil {
			t.Fatal(err)
		}
		var list []bench.Outcome
		if err := json.Unmarshal(out, &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	code, errs := stopAt(t, program(t, dir, "bench", "ctrl-c.yaml"), "run 1/2", syscall.SIGINT)
	if code != exitInterrupted || errs != "stopped; go on with: skein bench ctrl-c.yaml\n" {
		t.Errorf("exit code %d after %q", code, errs)
	}
	first := filepath.Join(dir, "runs", "bench", "ctrl-c", "cells", "DiLoCo-1.json")
	before, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	whole, stopped := outcomes("whole"), outcomes("ctrl-c")
	for i, o := range stopped {
		if w := whole[i]; o.Root != w.Root || o.ValLoss != w.ValLoss || o.Payload != w.Payload {
			t.Errorf("%s, seed %d: %s and %v, undisturbed %s and %v", o.Cell, o.Seed, o.Root, o.ValLoss, w.Root, w.ValLoss)
		}
	}
	if after, err := os.ReadFile(first); err != nil || !bytes.Equal(after, before) || len(stopped) != 2 {
		t.Errorf("what was done has been done again (%d outcomes, %v)", len(stopped), err)
	}
}
