package cli

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// standing starts a run that goes on until the test is over, and returns the address to join it at.
func standing(t *testing.T) (addr string) {
	t.Helper()
	dir := t.TempDir()
	if err := furnish(dir, 20); err != nil {
		t.Fatal(err)
	}
	host := begin(t, program(t, dir, "run", "run.yaml", "name=standing", "train.steps=400000", "sync.deadline=2s", "eval.every=0"))
	t.Cleanup(func() { host.ends(-1) }) // killed with the test's context
	addr = host.prints(`^join +skein join (\S+)$`)[1]
	host.prints(`^round +3/`)
	return addr
}

func TestFullDiskStopsAVolunteer(t *testing.T) {
	t.Parallel()
	home, resize := smallDisk(t, "1g")
	addr := standing(t)
	guest := begin(t, volunteer(t, home, "--quota", "64MiB", addr))
	guest.prints(`^here `)
	var disk syscall.Statfs_t
	if err := syscall.Statfs(home, &disk); err != nil {
		t.Fatal(err)
	}
	resize(fmt.Sprint((disk.Blocks-disk.Bfree)*uint64(disk.Bsize) + 64<<10))
	if out := guest.ends(exitFailed); !strings.Contains(out, "no space left on device") ||
		!strings.Contains(out, "free some space on that disk, then come back with the same command") {
		t.Errorf("it says:\n%s", out)
	}
	resize("1g")
	cmd := volunteer(t, home, "--quota", "64MiB", addr)
	guest = begin(t, cmd)
	guest.prints(`counted \d`)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	guest.ends(exitInterrupted)
}

func TestTwoVolunteersInOneFolder(t *testing.T) {
	t.Parallel()
	addr, home := standing(t), t.TempDir()
	cmd := volunteer(t, home, addr)
	first := begin(t, cmd)
	first.prints(`counted \d`)
	second := begin(t, volunteer(t, home, addr)).ends(exitFailed)
	if !strings.Contains(second, "another skein join is at work in "+home) || !strings.Contains(second, "--data-dir") {
		t.Errorf("it says:\n%s", second)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	first.ends(exitInterrupted)
}
