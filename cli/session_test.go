package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skein-train/skein/configs"
)

// newSession is a small run of this process, begun but not opened; what it prints goes to out.
func newSession(t *testing.T, out io.Writer, planned string, overrides ...string) *session {
	t.Helper()
	dir := t.TempDir()
	if err := furnish(dir, 2); err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load(filepath.Join(dir, "run.yaml"), append(overrides, "data.source="+filepath.Join(dir, "text.txt")))
	if err != nil {
		t.Fatal(err)
	}
	s := &session{cfg: c, dir: runDir(filepath.Join(dir, "runs", "small")), out: newConsole(out), log: slog.New(slog.DiscardHandler)}
	if s.fault, err = parseFault(planned, c.Swarm.LocalWorkers); err != nil {
		t.Fatal(err)
	}
	if s.corpus, err = prepareCorpus(t.Context(), c, s.dir.runs(), s.out); err != nil {
		t.Fatal(err)
	}
	if err := s.dir.begin(c, false, false); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSurvivorsAgree(t *testing.T) {
	t.Parallel()
	s := newSession(t, io.Discard, "w1@1", "swarm.local_workers=3", "sync.deadline=1500ms")
	sum, err := s.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if sum.Workers != 3 || sum.Rounds != 4 || sum.ValLoss == nil || !(*sum.ValLoss > 0) || sum.DDPBytes != ddpBytes(3, sum.Params, 8) {
		t.Errorf("summary %+v", sum)
	}
	w0, w1, w2 := s.workers[0].loop, s.workers[1].loop, s.workers[2].loop
	if w0.Root() != w2.Root() || w0.Root().String() != sum.StateHash || w1.Root() == w0.Root() {
		t.Errorf("roots %s, %s (killed), %s, summary %s", w0.Root(), w1.Root(), w2.Root(), sum.StateHash)
	}
	if w0.State().Seq != 4 || w1.State().Seq != 1 || w2.State().Seq != 4 {
		t.Errorf("rounds %d, %d, %d", w0.State().Seq, w1.State().Seq, w2.State().Seq)
	}
}

// until calls stop when a text passes by.
type until struct {
	bytes.Buffer
	text string
	stop func()
}

func (u *until) Write(p []byte) (int, error) {
	if strings.Contains(string(p), u.text) {
		u.stop()
	}
	return u.Buffer.Write(p)
}

func TestOverdueRoundIsTold(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	out := &until{text: "round 2 is overdue: 1 more contribution", stop: stop}
	s := newSession(t, out, "w1@1", "sync.min_peers=2", "sync.deadline=100ms")
	if _, err := s.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if n := strings.Count(out.String(), "round 2 is overdue"); n != 1 {
		t.Errorf("told %d times:\n%s", n, out)
	}
}

func TestFailedOpeningsFreeEverything(t *testing.T) {
	s := newSession(t, io.Discard, "")
	if err := os.WriteFile(s.dir.metrics(), []byte("nonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // locks and ports that were kept would fail the second time otherwise than the first
		if _, err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "metrics.jsonl: line 1") {
			t.Fatalf("error %v", err)
		}
		var err error
		s = &session{cfg: s.cfg, dir: s.dir, out: s.out, log: s.log}
		if s.corpus, err = prepareCorpus(t.Context(), s.cfg, s.dir.runs(), s.out); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func TestDDPBytes(t *testing.T) {
	if got := ddpBytes(4, 869_504, 400); got != 1_043_404_800 { // 2·3/4 · 2 bytes · 869,504 · 400
		t.Errorf("%d bytes", got)
	}
	if got := ddpBytes(1, 1000, 10); got != 0 {
		t.Errorf("one worker alone sends %d bytes", got)
	}
}
