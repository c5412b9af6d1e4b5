package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
)

func TestClock(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 400 * time.Millisecond: "0s", 7 * time.Second: "7s", 59600 * time.Millisecond: "1m00s",
		185 * time.Second: "3m05s", time.Hour: "1h00m", 130 * time.Minute: "2h10m", 100 * time.Hour: "100h00m",
	} {
		if got := clock(d); got != want {
			t.Errorf("clock(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestConsoleWithoutTerminalPrintsLinesOnly(t *testing.T) {
	var out bytes.Buffer
	c := newConsole(&out)
	c.update("half way")
	c.line("a round of %d", 4)
	if _, err := c.Write([]byte("a warning\n")); err != nil {
		t.Fatal(err)
	}
	c.update("")
	if got := out.String(); got != "a round of 4\na warning\n" {
		t.Errorf("printed %q", got)
	}
}

func TestConsoleKeepsTheStatusUnderTheLines(t *testing.T) {
	var out bytes.Buffer
	c := &console{out: &out, width: 6}
	const clear = "\r\x1b[K"
	c.update("naïve text") // cut between letters, one column before the edge
	c.line("a round")
	c.update("")
	c.line("end")
	if got, want := out.String(), "naïve"+clear+"a round\nnaïve"+clear+"end\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestRoundLine(t *testing.T) {
	loss := 2.5
	r := record{Round: 7, Step: 140, TrainLoss: 2.25, EvalLoss: &loss, PeersActive: 3, BytesSent: 1_500_000, TokensPerSec: 12_345}
	got := roundLine(r, 20, 400, 4, 365_000_000, 65*time.Second)
	if want := "round  7/20  step 140/400  loss 2.250  val 2.500  peers 3/4  sent 1.5 MB (DDP 365 MB)  12.3k tok/s  left 1m05s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if r.EvalLoss = nil; strings.Contains(roundLine(r, 20, 400, 4, 0, 0), "val") {
		t.Error("a validation loss that nobody measured")
	}
}

func TestStatusLine(t *testing.T) {
	s := aggregator.Schedule{Every: 20, Fragments: 2, Steps: 400} // a round every 10 steps
	for _, c := range []struct {
		step    uint64
		waiting []string
		want    string
	}{
		{0, []string{"w0", "w1"}, "round 1/40  step 0/400"},
		{10, []string{"w1"}, "round 1/40  step 10/400  waiting for w1"},
		{11, nil, "round 2/40  step 11/400"},
		{400, nil, "round 40/40  step 400/400"},
	} {
		if got := statusLine(s, c.step, 2, c.waiting); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
