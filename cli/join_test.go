//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// process is a program under way whose lines can be waited for.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	text bytes.Buffer
	grew *sync.Cond
	over bool
}

func begin(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd}
	p.grew = sync.NewCond(&p.mu)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait(); _ = w.Close() }()
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			p.add(lines.Text() + "\n")
		}
		p.mu.Lock()
		p.over = true
		p.grew.Broadcast()
		p.mu.Unlock()
	}()
	return p
}

func (p *process) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.WriteString(line)
	p.grew.Broadcast()
}

// prints waits for a line that matches and returns its groups.
func (p *process) prints(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if m := re.FindStringSubmatch(p.text.String()); m != nil {
			return m
		}
		if p.over {
			p.t.Fatalf("%q ended without %q:\n%s", p.cmd.Args, pattern, p.text.String())
		}
		p.grew.Wait()
	}
}

// ends waits for the end and returns all that was printed.
func (p *process) ends(code int) string {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.over {
		p.grew.Wait()
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("%q ended with %d, expected %d:\n%s", p.cmd.Args, got, code, p.text.String())
	}
	return p.text.String()
}

// volunteer is a call of skein join on a machine that has nothing: no Go, no module cache, no corpus.
func volunteer(t *testing.T, home string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := program(t, t.TempDir(), append([]string{"join", "--data-dir", home, "--listen", "/ip4/127.0.0.1/tcp/0", "--threads", "1"}, args...)...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + t.TempDir()}
	return cmd
}

// roots reads the certified roots by round.
func roots(t *testing.T, dir string) map[uint64]string {
	t.Helper()
	all, err := readMetrics(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[uint64]string{}
	for _, r := range all {
		out[r.Round] = r.Root
	}
	return out
}

// guestDir is the folder of the only run in a volunteer's data directory.
func guestDir(t *testing.T, home string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(home, "*", "state"))
	if err != nil || len(found) != 1 {
		t.Fatalf("folders of runs: %v, %v", found, err)
	}
	return filepath.Dir(found[0])
}

// Two machines train along with a run: one from the start, which is killed and comes back, and one from the middle on.
func TestGuests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := furnish(dir, 20); err != nil {
		t.Fatal(err)
	}
	host := begin(t, program(t, dir, "run", "run.yaml", "name=shared", "train.steps=800", "sync.deadline=2s", "checkpoint.every=4", "eval.every=0"))
	addr := host.prints(`^join +skein join (\S+)$`)[1]
	homes := []string{t.TempDir(), t.TempDir()}

	first := begin(t, volunteer(t, homes[0], addr))
	first.prints(`counted \d`)
	host.prints(`^round 1\d/40 `)
	second := begin(t, volunteer(t, homes[1], addr))
	second.prints(`^start +round \d+, from checkpoint bafy`)
	second.prints(`counted \d`)
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	first.ends(-1)
	again := begin(t, volunteer(t, homes[0], addr))
	again.prints(`counted \d`)

	host.ends(0)
	want := stateHash(t, dir, "shared")
	certified := roots(t, filepath.Join(dir, "runs", "shared"))
	for i, p := range []*process{again, second} {
		text := p.ends(0)
		if !strings.Contains(text, want) || !strings.Contains(text, "the run is over") {
			t.Errorf("volunteer %d does not end in state %s:\n%s", i, want, text)
		}
		for round, root := range roots(t, guestDir(t, homes[i])) {
			if certified[round] != root {
				t.Errorf("volunteer %d, round %d: root %s, the run has %s", i, round, root, certified[round])
			}
		}
	}
	if text := begin(t, volunteer(t, homes[1], addr)).ends(exitFailed); !strings.Contains(text, "this run is over") {
		t.Errorf("coming back after the end:\n%s", text)
	}
}

// A volunteer that says goodbye is not waited for, and what it wrote lies in its data directory only.
func TestGuestLeaves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := furnish(dir, 20); err != nil {
		t.Fatal(err)
	}
	host := begin(t, program(t, dir, "run", "run.yaml", "name=left", "train.steps=400", "sync.deadline=1h", "eval.every=0"))
	addr := host.prints(`^join +skein join (\S+)$`)[1]
	home := t.TempDir()
	cmd := volunteer(t, home, addr)
	guest := begin(t, cmd)
	guest.prints(`counted \d`)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if text := guest.ends(exitInterrupted); !strings.Contains(text, "stopped; go on with: skein join "+addr) {
		t.Errorf("the farewell lacks the way back:\n%s", text)
	}
	host.ends(0) // with a deadline of an hour it would wait for the guest otherwise
	if left, err := os.ReadDir(cmd.Dir); err != nil || len(left) > 0 {
		t.Errorf("left in the working directory: %v, %v", left, err)
	}
}

// Who joins before the first checkpoint of a run that started from another run's gets that one first.
func TestGuestOfAContinuedRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := furnish(dir, 20); err != nil {
		t.Fatal(err)
	}
	if out, err := program(t, dir, "run", "run.yaml", "name=one", "train.steps=40", "eval.every=0").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	host := begin(t, program(t, dir, "run", "run.yaml", "name=two", "--from", "one", "train.steps=400", "sync.deadline=2s", "checkpoint.every=20", "eval.every=0"))
	guest := begin(t, volunteer(t, t.TempDir(), host.prints(`^join +skein join (\S+)$`)[1]))
	guest.prints(`counted \d`)
	host.ends(0)
	if text, want := guest.ends(0), stateHash(t, dir, "two"); !strings.Contains(text, want) {
		t.Errorf("the volunteer does not end in state %s:\n%s", want, text)
	}
}
