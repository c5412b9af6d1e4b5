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
		return []string{"run", "run.yaml", "name=" + name, "train.steps=120", "checkpoint.every=6", "eval.every=0", "sync.error_feedback=0.9"}
	}
	if out, err := program(t, dir, run("whole")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := stateHash(t, dir, "whole")

	code, errs := stopAt(t, program(t, dir, run("ctrl-c")...), "round  3/12", syscall.SIGINT)
	if code != exitInterrupted || errs != "stopped; go on with: skein run runs/ctrl-c --resume\n" {
		t.Errorf("exit code %d after %q", code, errs)
	}
	if code, _ = stopAt(t, program(t, dir, run("kill-9")...), "round  3/12", syscall.SIGKILL); code != -1 {
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
