package driver_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

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
	src := []float32{1, 2, 3, 4}
	must(t, driver.Upload(s, p, src))
	src[0] = 99 // it was copied aside
	must(t, s.Copy(p+512, p, 16))
	must(t, s.Fill(p+512+4, 0, 4))
	got := make([]float32, 4)
	must(t, driver.Download(s, got, p+512))
	if !slices.Equal(got, []float32{1, 0, 3, 4}) {
		t.Errorf("got %v", got)
	}
	must(t, driver.Upload(s, p, []int32(nil)))
	if err := driver.Upload(s, p+1<<20-8, src); !errors.Is(err, driver.InvalidValue) {
		t.Errorf("a copy beyond the end: %v", err)
	}
	must(t, c.Free(p))
}

func TestPinnedMemoryIsCopiedLater(t *testing.T) {
	c := context(t)
	s := stream(t, c)
	p, err := c.Alloc(64)
	must(t, err)
	host, err := c.AllocPinned(64)
	must(t, err)
	host.Bytes()[3] = 7
	must(t, s.UploadPinned(p, host, 0, 32))
	must(t, s.Wait())
	must(t, s.DownloadPinned(host, 32, p, 32))
	must(t, s.Wait())
	if b := host.Bytes(); b[32+3] != 7 || len(b) != 64 {
		t.Errorf("%d bytes, %d in the copy", len(b), b[35])
	}
	must(t, c.FreePinned(host))
	must(t, c.Free(p))
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
	host, err := c.AllocPinned(4)
	must(t, err)
	const half = 1 // dst is bfloat16, see kernels/operand.h
	args := driver.NewArgs()
	for i, v := range []uint64{uint64(p) + 512, uint64(p), 2, half} {
		args.Set(i, v)
	}
	convert := func() error { return s.Launch(f, driver.Dim{X: 1, Y: 1, Z: 1}, 32, 0, args) }
	must(t, driver.Upload(s, p, []float32{1, 2}))
	must(t, convert())
	args.Set(0, 0) // they were copied
	got := make([]uint16, 2)
	must(t, driver.Download(s, got, p+512))
	if !slices.Equal(got, []uint16{0x3f80, 0x4000}) {
		t.Errorf("got %#x", got)
	}

	args.Set(0, uint64(p)+512)
	g, err := s.Capture(func() error { return errors.Join(s.UploadPinned(p, host, 0, 4), convert()) })
	must(t, err)
	for _, b := range []byte{0x40, 0xc0} { // replays read what is there then
		copy(host.Bytes(), []byte{0, 0, 0, b})
		must(t, g.Launch(s))
		must(t, driver.Download(s, got, p+512))
		if got[0] != uint16(b)<<8 {
			t.Errorf("a replay made %#x of %#x", got[0], b)
		}
	}
	if _, err := s.Capture(func() error { return driver.Download(s, got, p) }); err == nil {
		t.Error("a capture took in a wait")
	}
	must(t, errors.Join(g.Close(), m.Close(), c.FreePinned(host), c.Free(p)))
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
