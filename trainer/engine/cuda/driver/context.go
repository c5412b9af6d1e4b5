package driver

import (
	"runtime"
	"unsafe"
)

// Context is a use of a Device's primary context. One goroutine at a time may use it and what was made with it.
type Context struct {
	Device Device
	driver *Driver
	handle uintptr
}

// Open retains the device's primary context. Close gives it back.
func (dev Device) Open() (*Context, error) {
	c := &Context{Device: dev, driver: dev.driver}
	var handle uintptr
	if err := c.driver.call(cuDevicePrimaryCtxRetain, uintptr(unsafe.Pointer(&handle)), uintptr(dev.handle)); err != nil {
		return nil, err
	}
	c.handle = handle
	return c, nil
}

// Close releases the context; with the last one of a device in this process, everything in it is gone.
func (c *Context) Close() error {
	return c.driver.call(cuDevicePrimaryCtxRelease, uintptr(c.Device.handle))
}

// call is Driver.call with the context current. Which one is current is a matter of threads, and nothing says on which
// thread the goroutine was last: to set it costs less than to find out.
//
//go:uintptrescapes
func (c *Context) call(s symbol, args ...uintptr) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := c.driver.call(cuCtxSetCurrent, c.handle); err != nil {
		return err
	}
	return c.driver.call(s, args...)
}

// Do runs f on a thread on which the context is current: for a library that uses the driver by itself.
func (c *Context) Do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := c.driver.call(cuCtxSetCurrent, c.handle); err != nil {
		return err
	}
	return f()
}

// Memory is what the device has free and in all, in bytes.
func (c *Context) Memory() (free, total int64, err error) {
	var f, t uint64
	err = c.call(cuMemGetInfo, uintptr(unsafe.Pointer(&f)), uintptr(unsafe.Pointer(&t)))
	return int64(f), int64(t), err
}

// Alloc returns the address of device memory, aligned to 256 bytes at least. What it holds is not defined.
func (c *Context) Alloc(bytes int64) (uintptr, error) {
	var p uintptr
	err := c.call(cuMemAlloc, uintptr(unsafe.Pointer(&p)), uintptr(bytes))
	return p, err
}

// Free gives device memory back.
func (c *Context) Free(address uintptr) error { return c.call(cuMemFree, address) }

// Pinned is host memory that the device reads and writes by itself, while the host does something else.
type Pinned struct {
	Address uintptr
	Len     int // bytes
}

// AllocPinned returns pinned memory. What it holds is not defined.
func (c *Context) AllocPinned(bytes int) (Pinned, error) {
	var p uintptr
	err := c.call(cuMemHostAlloc, uintptr(unsafe.Pointer(&p)), uintptr(bytes), 0)
	return Pinned{p, bytes}, err
}

// FreePinned gives pinned memory back.
func (c *Context) FreePinned(p Pinned) error { return c.call(cuMemFreeHost, p.Address) }

// Bytes is the memory itself. It is not Go's: vet cannot know that it stays where it is, hence the detour.
func (p Pinned) Bytes() []byte {
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p.Address)), p.Len)
}
