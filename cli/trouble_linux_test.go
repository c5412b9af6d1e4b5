package cli

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
)

// standing starts a run that goes on until the test is over, and returns it with the address to join it at.
func standing(t *testing.T, overrides ...string) (host *process, addr string) {
	t.Helper()
	dir := t.TempDir()
	if err := furnish(dir, 20); err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "run.yaml", "name=standing", "train.steps=400000", "sync.deadline=2s", "eval.every=0"}
	host = begin(t, program(t, dir, append(args, overrides...)...))
	t.Cleanup(func() { host.ends(-1) }) // killed with the test's context
	addr = host.prints(`^join +skein join (\S+)$`)[1]
	host.prints(`^round +3/`)
	return host, addr
}

func TestFullDiskStopsAVolunteer(t *testing.T) {
	t.Parallel()
	home, resize := smallDisk(t, "1g")
	_, addr := standing(t)
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
	_, addr := standing(t)
	home := t.TempDir()
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

// A volunteer whose GPU is lost says so and leaves; nobody waits for it until the deadline.
func TestLostGPUStopsAVolunteer(t *testing.T) {
	t.Parallel()
	library := cudatest.Emulated(t)
	host, addr := standing(t, "train.precision=bf16", "train.batch_size=2", "train.micro_batch_size=2", "data.seq_len=16", "sync.every=4", "sync.deadline=5m")
	cmd := volunteer(t, t.TempDir(), addr)
	cmd.Env = append(cmd.Env, driver.Path+"="+library, "FAKE_CUDA_LOST=700")
	guest := begin(t, cmd)
	guest.prints(`counted \d`)
	if out := guest.ends(exitFailed); !strings.Contains(out, "\nerror: worker w0: cuda: GPU 0 ") || !strings.Contains(out, "LAUNCH_FAILED: the GPU stopped") ||
		!strings.Contains(out, "come back with the same command") {
		t.Errorf("it says:\n%s", out)
	}
	host.prints(`peers 3/3 .*\n(?:.*\n)*?.* peers 2/2 `)
}
