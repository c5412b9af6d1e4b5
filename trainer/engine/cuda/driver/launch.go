package driver

import (
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// MaxArgs is the largest number of arguments of a kernel.
const MaxArgs = 32

// Args are a kernel's arguments: 8 bytes each, of which a shorter one uses the first. They are reused from launch to launch.
type Args struct {
	values   [MaxArgs]uint64
	pointers [MaxArgs]unsafe.Pointer
}

// NewArgs is on the heap, which does not move: its pointers stay good. That is why it must not be inlined.
//
//go:noinline
func NewArgs() *Args {
	a := new(Args)
	for i := range a.values {
		a.pointers[i] = unsafe.Pointer(&a.values[i])
	}
	return a
}

// Set gives argument i, an address or a number by its bits.
func (a *Args) Set(i int, bits uint64) { a.values[i] = bits }

// Dim is a number of blocks or threads in each direction.
type Dim struct{ X, Y, Z int }

// Launch queues a kernel: grid blocks of threads threads with shared bytes of dynamic shared memory. The arguments are
// copied before it returns.
func (s *Stream) Launch(f Function, grid Dim, threads, shared int, a *Args) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d := s.context.driver
	r, _, _ := purego.SyscallN(d.entry[cuCtxSetCurrent], s.context.handle)
	if err := check(cuCtxSetCurrent, r); err != nil {
		return err
	}
	r, _, _ = purego.SyscallN(d.entry[cuLaunchKernel], f.handle, uintptr(grid.X), uintptr(grid.Y), uintptr(grid.Z),
		uintptr(threads), 1, 1, uintptr(shared), s.handle, uintptr(unsafe.Pointer(&a.pointers)), 0)
	runtime.KeepAlive(a)
	return check(cuLaunchKernel, r)
}
