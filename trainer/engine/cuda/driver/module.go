package driver

import (
	"bytes"
	"fmt"
	"strings"
	"unsafe"
)

// Module is compiled code on the device.
type Module struct {
	context *Context
	handle  uintptr
}

// CUjit_option.
const (
	jitErrorLog      = 5
	jitErrorLogBytes = 6
)

// Load compiles PTX for the context's device. On failure the error holds what the driver's compiler said.
func (c *Context) Load(ptx []byte) (*Module, error) {
	const logBytes = 8192
	image := append(bytes.Clone(ptx), 0)
	log := make([]byte, logBytes)
	options := []int32{jitErrorLog, jitErrorLogBytes}
	values := []uintptr{addressOf(uintptr(unsafe.Pointer(&log[0]))), logBytes}
	var h uintptr
	err := c.call(cuModuleLoadDataEx, uintptr(unsafe.Pointer(&h)), uintptr(unsafe.Pointer(&image[0])),
		uintptr(len(options)), uintptr(unsafe.Pointer(&options[0])), uintptr(unsafe.Pointer(&values[0])))
	said, _, _ := bytes.Cut(log, []byte{0})
	if err != nil {
		if s := strings.TrimSpace(string(said)); s != "" {
			return nil, fmt.Errorf("%w: %s", err, s)
		}
		return nil, err
	}
	return &Module{c, h}, nil
}

// addressOf makes what its argument is the address of live on the heap, which does not move.
//
//go:noinline
//go:uintptrescapes
func addressOf(p uintptr) uintptr { return p }

// Close unloads the code.
func (m *Module) Close() error { return m.context.call(cuModuleUnload, m.handle) }

// Function is a kernel.
type Function struct {
	context *Context
	handle  uintptr
}

// Function finds a kernel by its name.
func (m *Module) Function(name string) (Function, error) {
	symbol := append([]byte(name), 0)
	var h uintptr
	if err := m.context.call(cuModuleGetFunction, uintptr(unsafe.Pointer(&h)), m.handle, uintptr(unsafe.Pointer(&symbol[0]))); err != nil {
		return Function{}, fmt.Errorf("kernel %s: %w", name, err)
	}
	return Function{m.context, h}, nil
}

// AllowShared lets launches ask for that many bytes of dynamic shared memory, which they must to have more than 48 KiB.
func (f Function) AllowShared(bytes int) error {
	const maxDynamicShared = 8 // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
	return f.context.call(cuFuncSetAttribute, f.handle, maxDynamicShared, uintptr(bytes))
}
