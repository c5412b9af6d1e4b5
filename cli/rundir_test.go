package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skein-train/skein/configs"
)

func TestRunDirBegins(t *testing.T) {
	d := runDir(filepath.Join(t.TempDir(), "runs", "a"))
	c := configs.Default()
	c.Data.Source = "opticks"
	fails := func(err error, part string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %q in it", err, part)
		}
	}
	works := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fails(d.begin(c, true, false), "no run to resume")
	works(d.begin(c, false, false))
	fails(d.begin(c, false, false), "--resume")
	works(d.begin(c, true, false))
	here := c
	here.Swarm.Listen, here.Train.Threads = []string{"/ip4/127.0.0.1/tcp/4001"}, 3
	works(d.begin(here, true, false)) // sockets and threads are this machine's own
	other := c
	other.Seed, other.Sync.Every = 7, 40
	fails(d.begin(other, true, false), "\n  seed was 1337, is 7\n  sync.every was 20, is 40")

	works(os.WriteFile(d.summary(), []byte("{}"), 0o644))
	fails(d.begin(c, false, false), "finished run")
	works(d.begin(other, false, true))
	works(d.begin(other, false, true))
	for i, path := range []string{string(d) + ".1/summary.json", string(d) + ".2/run.yaml", d.config()} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	works(d.discard())
	if _, err := os.Stat(string(d)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: error %v", err)
	}
}

func TestDiscardKeepsForeignFiles(t *testing.T) {
	d := runDir(t.TempDir())
	notes := filepath.Join(string(d), "notes.txt")
	if err := os.WriteFile(notes, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.begin(configs.Default(), false, false), d.discard()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(notes); err != nil || d.exists() {
		t.Errorf("run there: %v, error %v", d.exists(), err)
	}
}

func TestRunDirNamesItsCommands(t *testing.T) {
	for d, want := range map[runDir]string{"runs/tiny": "skein sample tiny", "/data/tiny": "skein sample tiny --runs /data"} {
		if got := d.command("sample"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestExplainSaysWhatToDoNext(t *testing.T) {
	full := explain(&fs.PathError{Op: "write", Path: "runs/a/x", Err: syscall.ENOSPC}, "runs/a").Error()
	if !strings.Contains(full, "runs/a/x") || !strings.Contains(full, "free some space") || !strings.HasSuffix(full, "skein run runs/a --resume") {
		t.Errorf("%q", full)
	}
	if other := explain(errors.New("no luck"), "runs/a").Error(); other != "no luck\nwhat was done is kept; go on with: skein run runs/a --resume" {
		t.Errorf("%q", other)
	}
}
