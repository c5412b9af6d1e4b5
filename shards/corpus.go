package shards

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// corpus is a text that everybody with a Go tool chain can have, under a name.
type corpus struct {
	name   string
	sha256 string // of the file, so that a run means the same text everywhere
	find   func(context.Context) (path string, err error)
}

func corpora() []corpus {
	return []corpus{
		// The first 10,000,000 bytes of a Wikipedia dump, CC BY-SA, which a compression library carries as test data.
		{"enwik7", "5985c81c39d927ae0e169625790ca4d9e7d1531270c8b09ad73176a375bb3d97", func(ctx context.Context) (string, error) {
			return inModule(ctx, "github.com/ulikunitz/xz", "v0.5.15", "testdata/enwik7")
		}},
		// Newton's Opticks, public domain, which Go carries as test data.
		{"opticks", "d4a9ac22462b35e7821a4f2706c211093da678620a8f9997989ee7cf8d507bbd", inGoroot},
	}
}

// Corpora are the names that a source may have beside files and globs.
func Corpora() []string {
	var names []string
	for _, c := range corpora() {
		names = append(names, c.name)
	}
	return names
}

// text is what data.source means on this machine.
type text struct {
	label  string   // the name of the corpus, or the files and globs as they were given, without their folders
	files  []string // in the order in which they are read
	expect string   // the SHA-256 that the file of a named corpus must have, or ""
}

// resolve finds the text behind data.source.
func resolve(ctx context.Context, source string) (text, error) {
	for _, c := range corpora() {
		if c.name == source {
			path, err := c.find(ctx)
			if err != nil {
				return text{}, fmt.Errorf("corpus %s: %w", c.name, err)
			}
			return text{c.name, []string{path}, c.sha256}, nil
		}
	}
	patterns := strings.Fields(source)
	if _, err := os.Stat(source); err == nil { // a path with spaces in it
		patterns = []string{source}
	}
	var files, labels []string
	for _, p := range patterns {
		found, err := match(p)
		if err != nil {
			return text{}, err
		}
		files, labels = append(files, found...), append(labels, label(p))
	}
	slices.Sort(files)
	files = slices.Compact(files)
	if len(files) == 0 {
		return text{}, errors.New("data.source is empty: name a corpus or text files")
	}
	return text{clip(strings.Join(labels, " ")), files, ""}, nil
}

// match lists the regular files that one path or glob names.
func match(pattern string) ([]string, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("data.source: pattern %q: %w", pattern, err)
	}
	if _, err := os.Stat(pattern); err == nil { // a name with brackets in it is a name first
		paths = []string{pattern}
	}
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case err != nil:
			return nil, fmt.Errorf("data.source: %w", err)
		case info.IsDir() && p == pattern:
			return nil, fmt.Errorf("data.source: %s is a folder; write %s for the files in it", p, filepath.Join(p, "*"))
		case info.Mode().IsRegular():
			files = append(files, p)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("data.source: no file matches %q, and no corpus is called so; the corpora are %s", pattern, strings.Join(Corpora(), " and "))
	}
	return files, nil
}

// inModule finds a file of a Go module, in the module cache if it is there, else by asking the go command for it.
func inModule(ctx context.Context, module, version, file string) (string, error) {
	if path := filepath.Join(moduleCache(), filepath.FromSlash(module)+"@"+version, filepath.FromSlash(file)); isFile(path) {
		return path, nil
	}
	out, err := goCommand(ctx, "mod", "download", "-json", module+"@"+version)
	var got struct{ Dir, Error string }
	if json.Unmarshal(out, &got) == nil && got.Error != "" {
		err = errors.New(got.Error)
	}
	if err != nil {
		return "", fmt.Errorf("it is part of the Go module %s@%s, which cannot be had: %w; install Go and check the network, or name text files of your own in data.source", module, version, err)
	}
	path := filepath.Join(got.Dir, filepath.FromSlash(file))
	if !isFile(path) {
		return "", fmt.Errorf("the Go module %s@%s has no file %s", module, version, file)
	}
	return path, nil
}

// moduleCache is where the go command keeps modules, found without running it.
func moduleCache() string {
	if dir := os.Getenv("GOMODCACHE"); dir != "" {
		return dir
	}
	gopath := filepath.SplitList(os.Getenv("GOPATH"))
	if len(gopath) > 0 && gopath[0] != "" {
		return filepath.Join(gopath[0], "pkg", "mod")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, "go", "pkg", "mod")
}

func inGoroot(ctx context.Context) (string, error) {
	out, err := goCommand(ctx, "env", "GOROOT")
	if err != nil {
		return "", fmt.Errorf("it is part of the Go tool chain, which cannot be asked: %w; install Go, or name text files of your own in data.source", err)
	}
	path := filepath.Join(strings.TrimSpace(string(out)), "src", "testdata", "Isaac.Newton-Opticks.txt")
	if !isFile(path) {
		return "", fmt.Errorf("%s is not there; some systems ship Go without its test data: name text files of your own in data.source", path)
	}
	return path, nil
}

// goCommand runs the go command outside of any module, so that the working folder has no say.
func goCommand(ctx context.Context, args ...string) ([]byte, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return nil, errors.New("there is no go command on PATH")
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = os.TempDir()
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("go %s: %w %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
