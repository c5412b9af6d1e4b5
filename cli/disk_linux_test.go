package cli

import (
	"strings"
	"syscall"
	"testing"
)

// smallDisk is a folder with room for so many bytes; grow gives it more.
func smallDisk(t *testing.T, size string) (dir string, grow func(size string)) {
	t.Helper()
	dir = t.TempDir()
	mount := func(flags uintptr, size string) error {
		return syscall.Mount("skein-test", dir, "tmpfs", flags, "size="+size)
	}
	if err := mount(0, size); err != nil {
		t.Skipf("mounting takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, func(size string) {
		t.Helper()
		if err := mount(syscall.MS_REMOUNT, size); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullDiskStopsTheRunAndLosesNothing(t *testing.T) {
	t.Parallel()
	dir, grow := smallDisk(t, "2m")
	if err := furnish(dir, 2); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "run.yaml", "name=full", "checkpoint.every=1", "checkpoint.keep=8"}
	out, err := program(t, dir, args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no space left on device") ||
		!strings.Contains(string(out), "free some space on that disk, then go on with: skein run runs/full --resume") {
		t.Fatalf("%v\n%s", err, out)
	}
	grow("64m")
	if out, err := program(t, dir, "run", "runs/full", "--resume").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := program(t, dir, "run", "run.yaml", "name=whole", "eval.every=0").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, want := stateHash(t, dir, "full"), stateHash(t, dir, "whole"); got != want {
		t.Errorf("ends in %s, undisturbed it is %s", got, want)
	}
}
