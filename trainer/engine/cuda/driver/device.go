package driver

import (
	"bytes"
	"fmt"
	"unsafe"
)

// Capability is a GPU's compute capability: {8, 0} for sm_80.
type Capability struct{ Major, Minor int }

func (c Capability) String() string { return fmt.Sprintf("sm_%d%d", c.Major, c.Minor) }

// Below tells whether c is older than d.
func (c Capability) Below(d Capability) bool {
	return c.Major < d.Major || c.Major == d.Major && c.Minor < d.Minor
}

// Device is a GPU that the driver sees.
type Device struct {
	Index      int // counted as CUDA_VISIBLE_DEVICES leaves them
	Name       string
	Capability Capability
	Processors int   // streaming multiprocessors
	Shared     int   // bytes of shared memory that a block can have at most
	Memory     int64 // bytes in all

	driver *Driver
	handle int32
}

// Version is that of CUDA, which the device's driver supports at most.
func (dev Device) Version() Version { return dev.driver.Version }

// CUdevice_attribute.
const (
	attributeProcessors = 16
	attributeMajor      = 75
	attributeMinor      = 76
	attributeShared     = 97 // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
)

// Devices lists the GPUs. There is at least one, or an error that wraps NoDevice.
func (d *Driver) Devices() ([]Device, error) {
	var n int32
	if err := d.call(cuDeviceGetCount, uintptr(unsafe.Pointer(&n))); err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, &Error{names[cuDeviceGetCount], NoDevice}
	}
	out := make([]Device, n)
	for i := range out {
		dev, err := d.device(i)
		if err != nil {
			return nil, fmt.Errorf("gpu %d: %w", i, err)
		}
		out[i] = dev
	}
	return out, nil
}

func (d *Driver) device(index int) (Device, error) {
	const nameLen = 128
	dev := Device{Index: index, driver: d}
	var handle int32
	if err := d.call(cuDeviceGet, uintptr(unsafe.Pointer(&handle)), uintptr(index)); err != nil {
		return dev, err
	}
	dev.handle = handle
	name := make([]byte, nameLen)
	if err := d.call(cuDeviceGetName, uintptr(unsafe.Pointer(&name[0])), nameLen, uintptr(handle)); err != nil {
		return dev, err
	}
	name, _, _ = bytes.Cut(name, []byte{0})
	dev.Name = string(name)
	for attribute, to := range map[uintptr]*int{
		attributeProcessors: &dev.Processors, attributeMajor: &dev.Capability.Major, attributeMinor: &dev.Capability.Minor, attributeShared: &dev.Shared,
	} {
		var v int32
		if err := d.call(cuDeviceGetAttribute, uintptr(unsafe.Pointer(&v)), attribute, uintptr(handle)); err != nil {
			return dev, err
		}
		*to = int(v)
	}
	var memory uint64
	if err := d.call(cuDeviceTotalMem, uintptr(unsafe.Pointer(&memory)), uintptr(handle)); err != nil {
		return dev, err
	}
	dev.Memory = int64(memory)
	return dev, nil
}
