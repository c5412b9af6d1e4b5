package configs

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files again")

// Each testdata/NAME.yaml is a run file with mistakes, NAME.txt the report that a person sees. Lines "# env: …" and
// "# set: …" are its environment and overrides.
func TestErrorReports(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no run files in testdata: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var environ, overrides []string
			for line := range strings.Lines(string(src)) {
				if e, ok := strings.CutPrefix(line, "# env: "); ok {
					environ = append(environ, strings.TrimSuffix(e, "\n"))
				}
				if o, ok := strings.CutPrefix(line, "# set: "); ok {
					overrides = append(overrides, strings.TrimSuffix(o, "\n"))
				}
			}
			_, err = load(name+".yaml", src, environ, overrides)
			if err == nil {
				t.Fatal("the run file was accepted")
			}
			golden(t, filepath.Join("testdata", name+".txt"), err.Error()+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s differs (run with -update if the change is meant); got:\n%s", file, got)
	}
}
