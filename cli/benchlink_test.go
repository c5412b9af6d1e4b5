package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// benchLink runs `skein bench link` and returns what it printed.
func benchLink(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{"bench", "link"}, args...))
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// 30 steps of a second, then 32 bits of a million parameters, and the header, to each of 3 others and the committee.
func TestBenchLink(t *testing.T) {
	args := []string{"--params", "1048576", "--codec", "f32", "--workers", "4", "--bandwidth", "1Mbit/s,100Mbit/s", "--utilisation", "0.5"}
	out, err := benchLink(t, append(args, "--json")...)
	if err != nil {
		t.Fatal(err)
	}
	var r linkResult
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	c := r.Codecs[0]
	if c.BitsPerParam < 32 || c.BitsPerParam > 32.001 {
		t.Errorf("%g bits per parameter, want 32 and a header", c.BitsPerParam)
	}
	megabits := 4 * c.BitsPerParam * (1 << 20) / 1e6
	for _, p := range c.At {
		if want := 30 / (30 + megabits/(*p.Bandwidth/1e6)); math.Abs(p.Utilisation-want) > 1e-9 {
			t.Errorf("%g at %g bit/s, want %g", p.Utilisation, *p.Bandwidth, want)
		}
	}
	if got, want := *c.For[0].Bandwidth, megabits/30*1e6; math.Abs(got/want-1) > 1e-6 {
		t.Errorf("half of the time for %g bit/s, want %g", got, want)
	}
	if out, err = benchLink(t, args...); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1.05 M parameters, 1s a step, exchanged every 30 steps, 4 workers, all", "1.00 Mbit/s", "100 Mbit/s", "95.7 %", "4.47 Mbit/s"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestBenchLinkSaysWhatNoBandwidthGives(t *testing.T) {
	out, err := benchLink(t, "--params", "1000000", "--every", "1", "--latency", "1s", "--utilisation", "0.9")
	if err != nil || !strings.Contains(out, "none") || !strings.Contains(out, "1s latency") {
		t.Errorf("a step of a second and two messages of a second: %v\n%s", err, out)
	}
}

func TestBenchLinkDraws(t *testing.T) {
	for _, name := range []string{"link.svg", "link.png"} {
		path := filepath.Join(t.TempDir(), name)
		if _, err := benchLink(t, "--codec", "int8,topk:64/4096+2bit", "--latency", "100ms", "--plot", path); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() < 2000 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestBenchLinkRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"--bandwidth": {"--bandwidth", "100"}, "bits per second": {"--bandwidth", "100MB/s"}, "--utilisation": {"--utilisation", "1.5"},
		"--plot": {"--plot", "link.pdf"}, "topology": {"--topology", "star"}, "codec": {"--codec", "int3"}, "workers": {"--workers", "1"},
		"fragments": {"--fragments", "31"}, "layers": {"--layers", "2", "--fragments", "3"},
	} {
		if out, err := benchLink(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

func TestParseBandwidth(t *testing.T) {
	for text, want := range map[string]float64{"100Mbit/s": 1e8, "2.5 Gbit/s": 2.5e9, " 56kbit/s": 56e3, "9600bit/s": 9600} {
		if got, err := parseBandwidth(text); err != nil || got != want {
			t.Errorf("%q: %g, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "100", "100MB/s", "0Mbit/s", "-1Mbit/s", "NaNbit/s", "1e400Mbit/s", "1 horse"} {
		if got, err := parseBandwidth(text); err == nil {
			t.Errorf("%q: %g", text, got)
		}
	}
}
