// Package arch checks the layering of the module. It has no code of its own.
package arch_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/skein-train/skein"

// rule forbids some imports to some packages. Paths are relative to the module where they start with a dot; a path covers
// what lies below it.
type rule struct {
	packages  []string // who; "." is every package of the module
	except    []string // who of them may
	forbidden []string // what: with everything below it
	allowed   []string // what of it they may import all the same
	suites    bool     // packages whose name ends in "test", the conformance suites of the ports, may
	deep      bool     // count what imports import, too
	why       string
}

func rules() []rule {
	ours := []string{"."}
	return []rule{
		{packages: []string{"./gradients"}, forbidden: ours, allowed: []string{"./gradients", "./internal/codecname"}, why: "gradients is a leaf: everybody may use it because it uses nobody"},
		{packages: []string{"./shards"}, forbidden: ours, allowed: []string{"./shards", "./internal"}, why: "shards is a leaf: everybody may use it because it uses nobody"},
		{packages: []string{"./configs"}, forbidden: ours, allowed: []string{"./configs", "./internal"}, why: "configs is a leaf: everybody may use it because it uses nobody"},
		{packages: []string{"./internal"}, forbidden: ours, allowed: []string{"./internal"},
			why: "internal holds tools that know nothing of training, such as writing a file whole; rooms that touch the disk share them instead of copying, so they look up at nobody"},
		{packages: []string{"./aggregator"}, forbidden: ours, allowed: []string{"./aggregator", "./gradients"},
			why: "the outer loop knows its ports and the vectors that pass through them; network, disk, model and data are other rings"},
		{packages: []string{"./aggregator"}, forbidden: []string{"net", "os", "time", "math/rand", "crypto/rand", "syscall", "log", "runtime"}, suites: true,
			why: "the outer loop is a pure fold over the log: bytes, time and chance are handed to it, so that it replays bit for bit"},
		{packages: []string{"./gradients"}, forbidden: []string{"net", "os", "time", "math/rand", "crypto/rand", "syscall"}, suites: true,
			why: "what everybody must agree on depends on nothing but its arguments"},
		{packages: []string{"./trainer"}, forbidden: ours, allowed: []string{"./trainer", "./gradients", "./shards", "./configs", "./internal"},
			why: "a replica computes; it does not know that there is a swarm"},
		{packages: []string{"./swarm"}, forbidden: ours, allowed: []string{"./swarm", "./aggregator", "./gradients", "./internal"},
			why: "the network carries contributions and the log; it looks into neither model nor data nor run file"},
		{packages: []string{"./checkpoint"}, forbidden: ours, allowed: []string{"./checkpoint", "./aggregator", "./gradients", "./configs", "./internal"},
			why: "a checkpoint is state, whoever trained it and however it travelled"},
		{packages: []string{"./bench"}, forbidden: []string{"./swarm", "./checkpoint/ipfs", "./cli"}, deep: true,
			why: "a simulation has a modelled network instead of sockets and a store"},
		{packages: ours, except: []string{"./trainer"}, forbidden: []string{"gorgonia.org", "go4.org/unsafe/assume-no-moving-gc", "github.com/chewxy/hm"},
			why: "the graph is an implementation detail of a replica"},
		{packages: ours, except: []string{"./swarm", "./checkpoint/ipfs"}, forbidden: []string{"github.com/libp2p", "github.com/multiformats/go-multiaddr"},
			why: "sockets belong to swarm; checkpoint/ipfs takes the swarm's host to serve its blocks"},
		{packages: ours, except: []string{"./checkpoint"}, forbidden: []string{"github.com/ipfs", "github.com/ipld"},
			why: "that checkpoints are pinned to IPFS is a matter of checkpoint alone"},
		{packages: []string{"./aggregator", "./trainer", "./swarm", "./shards", "./configs", "./checkpoint"},
			forbidden: []string{"github.com/spf13", "github.com/lmittmann/tint", "github.com/schollz"}, why: "words for people are the business of cli"},
		{packages: ours, except: []string{"./cli", "."}, forbidden: []string{"./cli"}, why: "cli wires concrete parts together; nobody looks up at it"},
		{packages: ours, forbidden: []string{"testing", "pgregory.net/rapid"}, suites: true, deep: true,
			why: "production code carries no test code; conformance suites live in packages that end in test"},
	}
}

// pkg is what `go list -json` says about a package.
type pkg struct {
	ImportPath    string
	Imports, Deps []string
}

// packages lists the packages of the module. Folders that git ignores are no part of it.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,Deps", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// covers tells whether path is pattern or lies below it.
func covers(pattern, path string) bool {
	if rest, ours := strings.CutPrefix(pattern, "."); ours {
		pattern = module + rest
	}
	return path == pattern || strings.HasPrefix(path, pattern+"/")
}

func anyCovers(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, path) })
}

// breaks returns what package p imports against rule r.
func (r rule) breaks(p pkg) []string {
	excepted := slices.ContainsFunc(r.except, func(e string) bool {
		return e == "." && p.ImportPath == module || e != "." && covers(e, p.ImportPath)
	})
	if !anyCovers(r.packages, p.ImportPath) || excepted || r.suites && strings.HasSuffix(p.ImportPath, "test") {
		return nil
	}
	imports := p.Imports
	if r.deep {
		imports = p.Deps
	}
	var out []string
	for _, i := range imports {
		if anyCovers(r.forbidden, i) && !anyCovers(r.allowed, i) {
			out = append(out, i)
		}
	}
	return out
}

// Layering is a failing test with its reason written out. Imports of test files are not looked at.
func TestArchitecture(t *testing.T) {
	for _, p := range packages(t) {
		for _, r := range rules() {
			for _, i := range r.breaks(p) {
				t.Errorf("%s imports %s: %s", p.ImportPath, i, r.why)
			}
		}
	}
}

// The test above would also pass if its rules matched nothing.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct {
		from, to string
		broken   bool
	}{
		{"/aggregator", "time", true},
		{"/aggregator", "net/http", true},
		{"/aggregator", module + "/swarm", true},
		{"/aggregator", module + "/gradients", false},
		{"/gradients", module + "/aggregator", true},
		{"/gradients/codectest", module + "/gradients", false},
		{"/shards", module + "/gradients", true},
		{"/shards", module + "/internal/durable", false},
		{"/swarm", module + "/internal/durable", false},
		{"/gradients", module + "/internal/durable", true},
		{"/aggregator", module + "/internal/durable", true},
		{"/internal/durable", module + "/gradients", true},
		{"/trainer/graph", "gorgonia.org/gorgonia", false},
		{"/trainer", module + "/aggregator", true},
		{"/cli", "gorgonia.org/tensor", true},
		{"/swarm", "github.com/libp2p/go-libp2p", false},
		{"/cli", "github.com/libp2p/go-libp2p/core/host", true},
		{"/checkpoint/ipfs", "github.com/libp2p/go-libp2p/core/host", false},
		{"/checkpoint", "github.com/libp2p/go-libp2p/core/host", true},
		{"/cli", "github.com/ipfs/boxo/files", true},
		{"/trainer", module + "/cli", true},
		{"", module + "/cli", false},
		{"/swarm", "testing", true},
		{"/checkpoint/storetest", "testing", false},
	} {
		p := pkg{ImportPath: module + c.from, Imports: []string{c.to}, Deps: []string{c.to}}
		broken := slices.ContainsFunc(rules(), func(r rule) bool { return len(r.breaks(p)) > 0 })
		if broken != c.broken {
			t.Errorf("%s imports %s: forbidden %v, want %v", p.ImportPath, c.to, broken, c.broken)
		}
	}
}
