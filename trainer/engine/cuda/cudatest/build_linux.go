package cudatest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ebitengine/purego"
)

// flags: numbers have to come out as they do on a device, so no fast-math, and a fused multiply-add only where one is written.
var flags = []string{"-x", "c++", "-std=c++20", "-O2", "-fPIC", "-ffp-contract=off", "-DSKEIN_EMULATE"}

// build compiles the emulated device once per state of its sources, for all test binaries of the machine.
var build = sync.OnceValues(func() (string, error) {
	compiler, err := exec.LookPath("g++")
	if err != nil {
		return "", fmt.Errorf("%w: it is compiled with g++, which is not there (make setup)", errUnable)
	}
	dir, err := sources()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "skein", "emulated-gpu")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	return makeLibrary(compiler, dir, cache)
})

// sources is the folder of the kernels. Tests run in their package's folder, somewhere in the module.
func sources() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "trainer", "engine", "cuda", "kernels"), nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("the test does not run inside the module")
		}
	}
}

// makeLibrary compiles what is not in the cache yet, as many files at once as there are processors, and links.
func makeLibrary(compiler, dir, cache string) (string, error) {
	headers, err := digest(glob(dir, "*.h", "emulate/*.h")...)
	if err != nil {
		return "", err
	}
	files := glob(dir, "*.cu", "emulate/*.cpp")
	objects, failures := make([]string, len(files)), make([]error, len(files))
	var team sync.WaitGroup
	turn := make(chan struct{}, runtime.NumCPU())
	for i, f := range files {
		team.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			objects[i], failures[i] = compile(compiler, headers, f, cache)
		})
	}
	team.Wait()
	if err := errors.Join(failures...); err != nil {
		return "", err
	}
	library := filepath.Join(cache, "libcuda-"+sum([]byte(strings.Join(objects, " ")))+".so")
	return library, once(library, func(to string) *exec.Cmd {
		return exec.Command(compiler, slices.Concat([]string{"-shared", "-o", to}, objects, []string{"-ldl"})...)
	})
}

func compile(compiler, headers, file, cache string) (object string, err error) {
	state, err := digest(file)
	if err != nil {
		return "", err
	}
	object = filepath.Join(cache, filepath.Base(file)+"-"+sum([]byte(headers+state+compiler+strings.Join(flags, " ")))+".o")
	return object, once(object, func(to string) *exec.Cmd {
		return exec.Command(compiler, slices.Concat(flags, []string{"-c", file, "-o", to})...)
	})
}

// once runs a command that makes a file, unless the file is there.
func once(file string, command func(to string) *exec.Cmd) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	half := file + ".half"
	cmd := command(half)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return os.Rename(half, file)
}

func glob(dir string, patterns ...string) (files []string) {
	for _, p := range patterns {
		found, _ := filepath.Glob(filepath.Join(dir, p)) // fails on malformed patterns only
		files = append(files, found...)
	}
	return files
}

func digest(files ...string) (string, error) {
	h := sha256.New()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.Base(f), len(b), b)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return fmt.Sprintf("%x", h[:8])
}

// Setenv sets a variable for the fake driver until the test ends: in Go's environment, which child processes get, and in the
// one that C reads, which Go leaves alone.
func Setenv(t testing.TB, name, value string) {
	t.Helper()
	t.Setenv(name, value)
	setenv, err := purego.Dlsym(purego.RTLD_DEFAULT, "setenv")
	if err != nil {
		t.Skipf("the environment of C cannot be changed here: %v", err)
	}
	var set func(name, value string, overwrite int32) int32
	purego.RegisterFunc(&set, setenv)
	set(name, value, 1)
	t.Cleanup(func() { set(name, "", 1) }) // which the fake driver takes as not set
}
