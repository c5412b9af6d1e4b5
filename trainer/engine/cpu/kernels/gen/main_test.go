package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The committed assembly is what the generator writes, but for the first line, which holds the command.
func TestCommittedFilesAreCurrent(t *testing.T) {
	dir := t.TempDir()
	asm, stubs := filepath.Join(dir, "vector_amd64.s"), filepath.Join(dir, "vector_amd64.go")
	if out, err := exec.Command("go", "run", ".", "-out", asm, "-stubs", stubs, "-pkg", "kernels").CombinedOutput(); err != nil {
		t.Fatalf("generator: %v\n%s", err, out)
	}
	for _, fresh := range []string{asm, stubs} {
		committed := filepath.Join("..", filepath.Base(fresh))
		if !bytes.Equal(body(t, fresh), body(t, committed)) {
			t.Errorf("%s is stale: run go generate in the package above", committed)
		}
	}
}

func body(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	return rest
}
