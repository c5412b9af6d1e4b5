package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/internal/durable"
)

// defaultRuns is the folder that holds the runs if nobody says otherwise.
const defaultRuns = "runs"

// runDir is the folder runs/<name> of one run.
type runDir string

// runs is the folder that holds this run and others.
func (d runDir) runs() string { return filepath.Dir(string(d)) }

// command is how to call a verb on this run.
func (d runDir) command(verb string) string {
	call := "skein " + verb + " " + filepath.Base(string(d))
	if d.runs() != defaultRuns {
		call += " --runs " + d.runs()
	}
	return call
}

func (d runDir) config() string   { return filepath.Join(string(d), "run.yaml") }
func (d runDir) metrics() string  { return filepath.Join(string(d), "metrics.jsonl") }
func (d runDir) summary() string  { return filepath.Join(string(d), "summary.json") }
func (d runDir) ipfs() string     { return filepath.Join(string(d), "ipfs") }
func (d runDir) manifest() string { return filepath.Join(string(d), "state", "manifest.bin") }
func (d runDir) recipe() string   { return filepath.Join(string(d), "state", "recipe.json") }
func (d runDir) invite() string   { return filepath.Join(string(d), "state", "invite") }
func (d runDir) log() string      { return filepath.Join(string(d), "state", "committee", "log.db") }

// node is the folder of one peer of this machine: "committee", "w0", "w1", ….
func (d runDir) node(name string) string { return filepath.Join(string(d), "state", name) }

// worker names the i-th local worker's node.
func workerName(i int) string { return "w" + strconv.Itoa(i) }

func (d runDir) exists() bool {
	_, err := os.Stat(d.config())
	return err == nil
}

func (d runDir) finished() bool {
	_, err := os.Stat(d.summary())
	return err == nil
}

// begin makes the folder of a new run, or checks that the one that is there is the same run: the run file resolves to what
// it was started with, but for what belongs to this machine alone.
func (d runDir) begin(c configs.Config, resume, fresh bool) error {
	if fresh && d.exists() {
		if err := d.archive(); err != nil {
			return err
		}
	}
	switch {
	case !d.exists() && resume:
		return fmt.Errorf("there is no run to resume in %s: start it without --resume", d)
	case !d.exists():
		if err := os.MkdirAll(filepath.Join(string(d), "state"), 0o755); err != nil {
			return fmt.Errorf("making the run's folder: %w", err)
		}
		return writeFile(d.config(), c.Resolved())
	case !resume && d.finished():
		return fmt.Errorf("%s holds a finished run: look at it with %q, put it aside with --fresh, or choose another name with name=…", d, d.command("sample"))
	case !resume:
		return fmt.Errorf("%s holds a run already: go on with it by --resume, put it aside with --fresh, or choose another name with name=…", d)
	}
	old, err := os.ReadFile(d.config())
	if err != nil {
		return err
	}
	before, err := configs.Parse(old)
	if err != nil {
		return fmt.Errorf("%s: %w", d.config(), err)
	}
	if was, is := common(before).Resolved(), common(c).Resolved(); !bytes.Equal(was, is) {
		return fmt.Errorf("%s was started with other settings: resume it as it was (skein run %s --resume), or start anew with name=…\n%s",
			d, d, difference(was, is))
	}
	return nil
}

// common is a run file without what belongs to this machine alone: sockets, caps, threads, and who else keeps checkpoints.
func common(c configs.Config) configs.Config {
	c.Swarm.Listen, c.Swarm.Up, c.Swarm.Down, c.Train.Threads = nil, 0, 0, 0
	c.Checkpoint.Remote, c.Checkpoint.Provide = nil, false
	return c
}

// discard takes back begin, for a run that did not get under way. What else lies in the folder stays.
func (d runDir) discard() error {
	err := errors.Join(os.RemoveAll(filepath.Join(string(d), "state")), os.RemoveAll(d.ipfs()), os.Remove(d.config()))
	_ = os.Remove(string(d)) // unless something else is in it
	return err
}

// archive puts an old run aside as runs/<name>.1, .2, ….
func (d runDir) archive() error {
	for i := 1; ; i++ {
		aside := string(d) + "." + strconv.Itoa(i)
		if _, err := os.Stat(aside); errors.Is(err, os.ErrNotExist) {
			return os.Rename(string(d), aside)
		}
	}
}

// difference shows the keys whose values differ between two resolved run files, a line each.
func difference(before, now []byte) string {
	old, section, out := strings.Split(string(before), "\n"), "", []string{}
	for i, line := range strings.Split(string(now), "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if !strings.HasPrefix(line, " ") {
			section = key
		} else {
			key = section + "." + key
		}
		switch {
		case i >= len(old):
			return "  it had fewer keys"
		case line != old[i]:
			_, was, _ := strings.Cut(old[i], ":")
			out = append(out, fmt.Sprintf("  %s was%s, is%s", key, was, value))
		}
	}
	return strings.Join(out, "\n")
}

// writeFile writes a file whole or not at all, whenever the machine stops.
func writeFile(path string, b []byte) error {
	return durable.WriteFile(path, 0o644, durable.Name, b)
}
