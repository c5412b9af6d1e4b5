package cli

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	kad "github.com/libp2p/go-libp2p-kad-dht"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/swarm"
)

// What a run tells to a hash table of three lets somebody who knows nothing but a CID fetch the checkpoint.
func TestCheckpointsAreFoundByCID(t *testing.T) {
	t.Parallel()
	var introducer []string
	for range 3 {
		h, err := swarm.NewBareHost([]string{"/ip4/127.0.0.1/tcp/0"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if len(introducer) > 0 {
			if err := h.Connect(t.Context(), introducer); err != nil {
				t.Fatal(err)
			}
		}
		server, err := kad.New(h.Host(), kad.Mode(kad.ModeServer), kad.DisableAutoRefresh())
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if introducer == nil {
			introducer = h.Addrs()
		}
	}
	s := newSession(t, io.Discard, "", "checkpoint.provide=true", "train.steps=40")
	s.introducers = introducer
	var once sync.Once
	s.onLanding = func(_ *worker, l aggregator.Landing) {
		if l.Certificate.Seq == 10 { // the run waits until somebody has found what it told
			once.Do(func() { fetchFound(t, s.dir, introducer) })
		}
	}
	if _, err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// fetchFound fetches a run's newest checkpoint from whoever has it.
func fetchFound(t *testing.T, run runDir, introducer []string) {
	records, err := checkpoint.OpenIndex(run.checkpoints()).Records()
	if err != nil || len(records) == 0 {
		t.Errorf("%d checkpoints, error %v", len(records), err)
		return
	}
	last, out := records[len(records)-1].CID, filepath.Join(t.TempDir(), "out")
	for range 200 { // it is told in the background
		if _, err = checkpointVerb(t, t.TempDir(), "get", last, "--find", "--introducer", introducer[0], "--out", out); err == nil {
			break
		}
	}
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(out, "model.safetensors")); err != nil {
		t.Error(err)
	}
}
