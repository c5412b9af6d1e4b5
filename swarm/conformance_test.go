package swarm

import (
	"path/filepath"
	"testing"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/aggregator/exchangetest"
	"github.com/skein-train/skein/aggregator/logtest"
)

func TestExchange(t *testing.T) {
	exchangetest.Run(t, func(t *testing.T, m aggregator.Manifest, n int) *exchangetest.Swarm {
		w := startWorld(t, m, n)
		s := &exchangetest.Swarm{Manifest: &w.run.Manifest, Do: w.committee.do}
		for i, x := range w.exchanges {
			s.Signers, s.Exchanges = append(s.Signers, aggregator.NewSigner(seed(i+1))), append(s.Exchanges, x)
		}
		s.Restart = func(i int) aggregator.Exchange { return w.restart(i + 1) }
		return s
	})
}

func TestBoltLog(t *testing.T) {
	logtest.Run(t, func(t *testing.T) aggregator.Log { return openLog(t, filepath.Join(t.TempDir(), "log")) })
}

func openLog(t *testing.T, path string) *BoltLog {
	t.Helper()
	l, err := OpenBoltLog(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestBoltLogSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := openLog(t, path)
	e := aggregator.Entry{Decide: &aggregator.Body{Seq: 1}}
	if err := l.Append(t.Context(), 1, e); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBoltLog(path); err == nil {
		t.Error("a log was opened twice")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := openLog(t, path).Last(); n != 1 || err != nil {
		t.Errorf("%d entries after a restart, %v", n, err)
	}
}
