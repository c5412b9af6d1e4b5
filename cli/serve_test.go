package cli

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/checkpoint/storetest"
)

// serving serves the checkpoints of a run that is still going and returns where.
func serving(t *testing.T, runs, name string) *server {
	t.Helper()
	from, _, err := findCheckpoint(t.Context(), runs, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := serveCheckpoints(from, []string{"/ip4/127.0.0.1/tcp/0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestGetFromAnotherMachine(t *testing.T) {
	runs, _, kept := runWithCheckpoints(t)
	s := serving(t, runs, "tiny")
	here, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	told, err := checkpointVerb(t, here, "get", kept, "--from", s.Addrs()[0], "--out", out)
	if err != nil || !strings.Contains(told, "2.0 KiB of checkpoint "+kept) {
		t.Fatalf("%q, error %v", told, err)
	}
	if b, err := os.ReadFile(filepath.Join(out, "model.safetensors")); err != nil || !bytes.Equal(b, bytes.Repeat([]byte("x"), 2048)) {
		t.Errorf("%d bytes, error %v", len(b), err)
	}
	store, err := ipfs.Open(t.Context(), filepath.Join(here, fetchedDir), ipfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if u, err := store.Usage(t.Context()); err != nil || u != (checkpoint.Usage{}) {
		t.Errorf("left in the store: %+v, error %v", u, err)
	}
}

// A fetch takes the time that its cap implies.
func TestGetKeepsToItsCap(t *testing.T) {
	t.Parallel()
	runs := t.TempDir()
	d := runDir(filepath.Join(runs, "tiny"))
	store, err := ipfs.Open(t.Context(), d.ipfs(), ipfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	random := make([]byte, 1_500_000)
	_, _ = rand.Read(random)
	cid, err := store.Add(t.Context(), "c", storetest.Files(map[string]string{"model.safetensors": string(random)}))
	if err = errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.OpenIndex(d.checkpoints()).Add(checkpoint.Record{Seq: 5, CID: cid}); err != nil {
		t.Fatal(err)
	}
	s := serving(t, runs, "tiny")
	begun := time.Now()
	if told, err := checkpointVerb(t, t.TempDir(), "get", cid, "--from", s.Addrs()[0], "--down", "1MB/s", "--out", filepath.Join(t.TempDir(), "out")); err != nil {
		t.Fatalf("%q, error %v", told, err)
	}
	if took := time.Since(begun); took < time.Second {
		t.Errorf("1.5 MB at 1 MB/s took %v", took)
	}
}

func TestGetFromNowhere(t *testing.T) {
	runs, _, kept := runWithCheckpoints(t)
	s := serving(t, runs, "tiny")
	nobody := strings.Replace(s.Addrs()[0], "/tcp/", "/udp/", 1)
	for name, c := range map[string]struct{ cid, from, limit, want string }{
		"no address":   {kept, "/ip4/127.0.0.1/tcp/1", "1GB", "no address of a peer"},
		"unreachable":  {kept, nobody, "1GB", "nobody answers"},
		"no CID":       {"../../etc/passwd", s.Addrs()[0], "1GB", "no CID"},
		"too large":    {kept, s.Addrs()[0], "1kB", "more than the 1000 bytes"},
		"no number":    {kept, s.Addrs()[0], "lots", "such as 10GB"},
		"many numbers": {kept, s.Addrs()[0], "9EB", "such as 10GB"},
	} {
		out := filepath.Join(t.TempDir(), "out")
		if _, err := checkpointVerb(t, t.TempDir(), "get", c.cid, "--from", c.from, "--limit", c.limit, "--out", out); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: a folder was written", name)
		}
	}
}
