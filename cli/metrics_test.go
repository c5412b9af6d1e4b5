package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMetricsGoOnAfterATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	write := func(r record) {
		t.Helper()
		m, _, err := openMetrics(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.append(r); err != nil {
			t.Fatal(err)
		}
		if err := m.close(); err != nil {
			t.Fatal(err)
		}
	}
	if m, last, err := openMetrics(path); err != nil || last != (record{}) {
		t.Fatalf("a new file: %+v, error %v", last, err)
	} else if err := m.close(); err != nil {
		t.Fatal(err)
	}
	write(record{Round: 1, Tokens: 10})
	write(record{Round: 2, Tokens: 20})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < len(whole)/2; cut += 17 { // a crash while the second line was written
		if err := os.WriteFile(path, whole[:len(whole)-cut], 0o644); err != nil {
			t.Fatal(err)
		}
		m, last, err := openMetrics(path)
		if err != nil || last.Round != 1 || last.Tokens != 10 {
			t.Fatalf("%d bytes short: last %+v, error %v", cut, last, err)
		}
		if err := m.close(); err != nil {
			t.Fatal(err)
		}
		write(record{Round: 2, Tokens: 20})
		if got, err := os.ReadFile(path); err != nil || string(got) != string(whole) {
			t.Fatalf("%d bytes short, written again:\n%s\nerror %v", cut, got, err)
		}
	}
	all, err := readMetrics(path)
	if err != nil || len(all) != 2 || all[1].Round != 2 {
		t.Errorf("%+v, error %v", all, err)
	}
}

func TestMetricsNameTheBrokenLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	if err := os.WriteFile(path, []byte("{}\nnonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, open := openMetrics(path)
	_, read := readMetrics(path)
	for _, err := range []error{open, read} {
		if err == nil || !strings.Contains(err.Error(), path+": line 2") {
			t.Errorf("error %v", err)
		}
	}
}
