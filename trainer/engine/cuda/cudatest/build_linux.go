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

// flags: numbers have to come out as they do on a device, so no fast-math, and a fused multiply-add only where one is written. As on a
// device, what loads or stores several numbers at once has to be aligned to all of them: else an illegal instruction ends the test.
var flags = []string{"-x", "c++", "-std=c++20", "-O2", "-fPIC", "-ffp-contract=off", "-DSKEIN_EMULATE",
	"-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"}

// build and buildProducts compile the emulated device, and the fake cuBLASLt that computes on it, once per state of their sources,
// for all test binaries of the machine.
var (
	build         = sync.OnceValues(func() (string, error) { return in(workshop.driver) })
	buildProducts = sync.OnceValues(func() (string, error) { return in(workshop.products) })
)

// workshop is where libraries are made.
type workshop struct{ compiler, dir, cache string }

// in makes something while no other process does.
func in(make func(workshop) (string, error)) (string, error) {
	w := workshop{cache: os.TempDir()}
	var err error
	if w.compiler, err = exec.LookPath("g++"); err != nil {
		return "", fmt.Errorf("%w: it is compiled with g++, which is not there (make setup)", errUnable)
	}
	if w.dir, err = sources(); err != nil {
		return "", err
	}
	if cache, err := os.UserCacheDir(); err == nil {
		w.cache = cache
	}
	w.cache = filepath.Join(w.cache, "skein", "emulated-gpu")
	if err := os.MkdirAll(w.cache, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(w.cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	return make(w)
}

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

func (w workshop) driver() (string, error) {
	return w.library("libcuda", []string{"*.cu", "emulate/emulate.cpp", "emulate/libcuda.cpp"}, "-ldl")
}

func (w workshop) products() (string, error) {
	driver, err := w.driver()
	if err != nil {
		return "", err
	}
	return w.library("libcublasLt", []string{"emulate/libcublasLt.cpp"}, driver)
}

// library compiles what is not in the cache yet, as many files at once as there are processors, and links.
func (w workshop) library(name string, patterns []string, with string) (string, error) {
	headers, err := digest(glob(w.dir, "*.h", "emulate/*.h")...)
	if err != nil {
		return "", err
	}
	files := glob(w.dir, patterns...)
	objects, failures := make([]string, len(files)), make([]error, len(files))
	var team sync.WaitGroup
	turn := make(chan struct{}, runtime.NumCPU())
	for i, f := range files {
		team.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			objects[i], failures[i] = w.compile(headers, f)
		})
	}
	team.Wait()
	if err := errors.Join(failures...); err != nil {
		return "", err
	}
	parts := append(objects, with)
	library := filepath.Join(w.cache, name+"-"+sum([]byte(strings.Join(parts, " ")))+".so")
	return library, once(library, func(to string) *exec.Cmd {
		return exec.Command(w.compiler, slices.Concat([]string{"-shared", "-o", to}, parts)...)
	})
}

func (w workshop) compile(headers, file string) (object string, err error) {
	state, err := digest(file)
	if err != nil {
		return "", err
	}
	object = filepath.Join(w.cache, filepath.Base(file)+"-"+sum([]byte(headers+state+w.compiler+strings.Join(flags, " ")))+".o")
	return object, once(object, func(to string) *exec.Cmd {
		return exec.Command(w.compiler, slices.Concat(flags, []string{"-c", file, "-o", to})...)
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
