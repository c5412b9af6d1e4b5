package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/skein-train/skein/configs"
)

// runDir is the folder runs/<name> of one run.
type runDir string

func (d runDir) config() string   { return filepath.Join(string(d), "run.yaml") }
func (d runDir) metrics() string  { return filepath.Join(string(d), "metrics.jsonl") }
func (d runDir) summary() string  { return filepath.Join(string(d), "summary.json") }
func (d runDir) ipfs() string     { return filepath.Join(string(d), "ipfs") }
func (d runDir) manifest() string { return filepath.Join(string(d), "state", "manifest.bin") }
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

// begin makes the folder of a new run, or checks that the one that is there is the same run. The run file that was
// resolved for the new run is what every later start must resolve to.
func (d runDir) begin(c configs.Config, resume, fresh bool) error {
	resolved := c.Resolved()
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
		return writeFile(d.config(), resolved)
	case !resume:
		return fmt.Errorf("%s holds a run already: go on with it by --resume, put it aside with --fresh, or choose another name with name=…", d)
	}
	old, err := os.ReadFile(d.config())
	if err != nil {
		return err
	}
	if !bytes.Equal(old, resolved) {
		return fmt.Errorf("%s is not the run file that this run was started with: resume it as it was (skein run %s --resume), or start anew with name=…\n%s",
			d.config(), d, difference(old, resolved))
	}
	return nil
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

// difference shows the first line in which two run files differ.
func difference(a, b []byte) string {
	x, y := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(x), len(y)) {
		if !bytes.Equal(x[i], y[i]) {
			return fmt.Sprintf("  line %d was  %s\n  line %d is   %s", i+1, x[i], i+1, y[i])
		}
	}
	return "  one of them has more lines"
}

// writeFile writes a file whole or not at all, whenever the machine stops.
func writeFile(path string, b []byte) error {
	part, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	_, err = part.Write(b)
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(part.Name(), path)
}
