package driver_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
	"github.com/skein-train/skein/trainer/engine/cuda/kernels"
)

func open(t *testing.T) *driver.Driver {
	t.Helper()
	d, err := driver.Open(cudatest.Emulated(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// context is one of the GPU at hand, which may be a real one.
func context(t *testing.T) *driver.Context {
	t.Helper()
	d, err := driver.Open(cudatest.Driver(t))
	must(t, err)
	devices, err := d.Devices()
	must(t, err)
	c, err := devices[0].Open()
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

// module is the PTX with the kernel convert.
func module(t *testing.T) []byte {
	t.Helper()
	all, err := kernels.Modules()
	must(t, err)
	for _, m := range all {
		if bytes.Contains(m.PTX, []byte(".entry convert(")) {
			return m.PTX
		}
	}
	t.Fatal("there is no kernel convert")
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func stream(t *testing.T, c *driver.Context) *driver.Stream {
	t.Helper()
	s, err := c.NewStream()
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func TestDevices(t *testing.T) {
	cudatest.Setenv(t, "FAKE_CUDA_DEVICES", "2")
	cudatest.Setenv(t, "FAKE_CUDA_CAPABILITY", "90")
	d := open(t)
	devices, err := d.Devices()
	must(t, err)
	if len(devices) != 2 || d.Version != 12080 || d.Version.String() != "12.8" {
		t.Fatalf("%d devices, CUDA %v", len(devices), d.Version)
	}
	got := devices[1]
	if got.Index != 1 || got.Name != "Emulated GPU 1" || got.Capability.String() != "sm_90" || got.Memory != 1<<30 || got.Processors != 2 || got.Shared < 48<<10 {
		t.Errorf("%+v", got)
	}
}

func TestOneSentenceForWhatIsMissing(t *testing.T) {
	file := cudatest.Emulated(t)
	for _, c := range []struct {
		name, value string
		file        string
		want        error
		says        string
	}{
		{"", "", "/nonexistent/libcuda.so.1", driver.ErrNoDriver, "install NVIDIA's driver"},
		{"FAKE_CUDA_INIT", "100", file, driver.NoDevice, "CUDA_VISIBLE_DEVICES"},
		{"FAKE_CUDA_INIT", "803", file, driver.SystemDriverMismatch, "restart the machine"},
		{"FAKE_CUDA_INIT", "34", file, driver.StubLibrary, "LD_LIBRARY_PATH"},
		{"FAKE_CUDA_INIT", "999", file, driver.UnknownError, "nvidia-uvm"},
		{"FAKE_CUDA_INIT", "4711", file, driver.Code(4711), "CUDA error 4711"},
		{"FAKE_CUDA_VERSION", "11040", file, driver.ErrOldDriver, "supports CUDA 11.4, at least 12.0"},
	} {
		t.Run(c.name+c.value, func(t *testing.T) {
			if c.name != "" {
				cudatest.Setenv(t, c.name, c.value)
			}
			_, err := driver.Open(c.file)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %v and %q", err, c.want, c.says)
			}
		})
	}
	t.Run("no GPU", func(t *testing.T) {
		cudatest.Setenv(t, "FAKE_CUDA_DEVICES", "0")
		if _, err := open(t).Devices(); !errors.Is(err, driver.NoDevice) {
			t.Error(err)
		}
	})
}

func TestDriverFromTheEnvironment(t *testing.T) {
	file := cudatest.Emulated(t)
	t.Setenv(driver.Path, file)
	d, err := driver.Open("")
	must(t, err)
	if d.Library != file {
		t.Errorf("opened %s", d.Library)
	}
}

// Copies read and write pinned memory when the stream has come to them.
func TestCopies(t *testing.T) {
	c := context(t)
	s := stream(t, c)
	p, err := c.Alloc(1 << 20)
	must(t, err)
	free, total, err := c.Memory()
	must(t, err)
	if total-free < 1<<20 {
		t.Errorf("%d of %d bytes are free after an allocation", free, total)
	}
	host := pinned(t, c, 64)
	copy(host.Bytes()[16:], []byte{1, 2, 3, 4})
	must(t, s.Upload(p, host, 16, 4))
	must(t, s.Copy(p+512, p, 4))
	must(t, s.Fill(p+512+1, 0, 1))
	must(t, s.Download(host, 32, p+512, 4))
	must(t, s.Wait())
	if b := host.Bytes(); len(b) != 64 || !slices.Equal(b[32:36], []byte{1, 0, 3, 4}) {
		t.Errorf("%d bytes, %v in the copy", len(b), b[32:36])
	}
	if err := s.Upload(p+1<<20-8, host, 0, 16); !errors.Is(err, driver.InvalidValue) {
		t.Errorf("a copy beyond the end: %v", err)
	}
	must(t, c.Free(p))
}

func TestEvents(t *testing.T) {
	c := context(t)
	s := stream(t, c)
	p, err := c.Alloc(16)
	must(t, err)
	host := pinned(t, c, 16)
	from, err := c.NewEvent()
	must(t, err)
	to, err := c.NewEvent()
	must(t, err)
	must(t, to.Wait()) // it was not recorded
	for value := range byte(2) {
		must(t, from.Record(s))
		must(t, s.Fill(p, value, 8))
		must(t, s.Download(host, 0, p, 8))
		must(t, to.Record(s))
	}
	must(t, to.Wait()) // where it was recorded last
	if host.Bytes()[7] != 1 {
		t.Error("an event came before what was queued before it")
	}
	if d, err := to.Since(from); err != nil || d < 0 || d > time.Minute {
		t.Errorf("%v, %v", d, err)
	}
	must(t, errors.Join(from.Close(), to.Close(), c.Free(p)))
}

func TestLaunchAndReplay(t *testing.T) {
	c := context(t)
	s := stream(t, c)
	m, err := c.Load(module(t))
	must(t, err)
	f, err := m.Function("convert")
	must(t, err)
	p, err := c.Alloc(1 << 10)
	must(t, err)
	host := pinned(t, c, 8)
	const half = 1 // dst is bfloat16, see kernels/operand.h
	args := driver.NewArgs()
	for i, v := range []uint64{uint64(p) + 512, uint64(p), 2, half} {
		args.Set(i, v)
	}
	convert := func() error { return s.Launch(f, driver.Dim{X: 1, Y: 1, Z: 1}, 32, 0, args) }
	round := func() error { // the two floats of host become bfloat16, in its first half
		return errors.Join(s.Upload(p, host, 0, 8), convert(), s.Download(host, 0, p+512, 4))
	}
	copy(host.Bytes(), []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40})
	must(t, round())
	args.Set(0, 0) // they were copied
	must(t, s.Wait())
	if got := host.Bytes()[:4]; !slices.Equal(got, []byte{0x80, 0x3f, 0, 0x40}) {
		t.Errorf("got %#x", got)
	}

	args.Set(0, uint64(p)+512)
	g, err := s.Capture(round)
	must(t, err)
	for _, b := range []byte{0x40, 0xc0} { // replays read what is there then
		copy(host.Bytes(), []byte{0, 0, 0, b})
		must(t, g.Launch(s))
		must(t, s.Wait())
		if got := host.Bytes()[1]; got != b {
			t.Errorf("a replay made %#x of %#x", got, b)
		}
	}
	if _, err := s.Capture(s.Wait); err == nil {
		t.Error("a capture took in a wait")
	}
	must(t, errors.Join(g.Close(), m.Close(), c.Free(p)))
}

// pinned is memory that is given back when the test ends.
func pinned(t *testing.T, c *driver.Context, bytes int) driver.Pinned {
	p, err := c.AllocPinned(bytes)
	must(t, err)
	t.Cleanup(func() { must(t, c.FreePinned(p)) })
	return p
}

func TestModulesThatDoNotLoad(t *testing.T) {
	cudatest.Emulated(t)
	c := context(t)
	cudatest.Setenv(t, "FAKE_CUDA_JIT", "line 7: unknown instruction")
	if _, err := c.Load(module(t)); !errors.Is(err, driver.InvalidPTX) || !strings.Contains(err.Error(), "line 7: unknown instruction") {
		t.Errorf("got %v", err)
	}
	cudatest.Setenv(t, "FAKE_CUDA_JIT", "")
	m, err := c.Load(module(t))
	must(t, err)
	if _, err := m.Function("nonesuch"); !errors.Is(err, driver.NotFound) || !strings.Contains(err.Error(), "nonesuch") {
		t.Errorf("got %v", err)
	}
	must(t, m.Close())
}

func TestOutOfMemory(t *testing.T) {
	cudatest.Emulated(t)
	cudatest.Setenv(t, "FAKE_CUDA_MEMORY", "1048576")
	if _, err := context(t).Alloc(1 << 30); !errors.Is(err, driver.OutOfMemory) || !strings.Contains(err.Error(), "micro_batch_size") {
		t.Errorf("got %v", err)
	}
}
