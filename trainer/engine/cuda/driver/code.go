package driver

import "fmt"

// Code is a CUresult other than success. errors.Is(err, driver.OutOfMemory) finds it in what calls return.
type Code int32

// The codes that somebody can do something about, or that callers tell apart.
const (
	InvalidValue         Code = 1
	OutOfMemory          Code = 2
	NotInitialized       Code = 3
	StubLibrary          Code = 34
	NoDevice             Code = 100
	InvalidDevice        Code = 101
	InvalidImage         Code = 200
	InvalidContext       Code = 201
	NoBinary             Code = 209
	ECCUncorrectable     Code = 214
	InvalidPTX           Code = 218
	NoCompiler           Code = 221
	UnsupportedPTX       Code = 222
	CompilerDisabled     Code = 223
	OperatingSystem      Code = 304
	InvalidHandle        Code = 400
	NotFound             Code = 500
	IllegalAddress       Code = 700
	LaunchOutOfResources Code = 701
	LaunchTimeout        Code = 702
	ContextIsDestroyed   Code = 709
	Assert               Code = 710
	HardwareStackError   Code = 714
	IllegalInstruction   Code = 715
	MisalignedAddress    Code = 716
	LaunchFailed         Code = 719
	NotPermitted         Code = 800
	NotSupported         Code = 801
	SystemNotReady       Code = 802
	SystemDriverMismatch Code = 803
	CompatNotSupported   Code = 804
	CaptureUnsupported   Code = 900
	CaptureInvalidated   Code = 901
	CaptureImplicit      Code = 906
	DeviceUnavailable    Code = 46
	UnknownError         Code = 999
)

// meaning is the driver's name of a code, and in words what it means and what to do.
type meaning struct{ name, remedy string }

const lost = "the GPU stopped this process's work; restart the worker, and look into dmesg for Xid messages if it happens again"

var meanings = map[Code]meaning{
	InvalidValue:         {"CUDA_ERROR_INVALID_VALUE", "a fault in Skein: please report it"},
	OutOfMemory:          {"CUDA_ERROR_OUT_OF_MEMORY", "the GPU's memory is full: close what else uses it (nvidia-smi lists it), or lower train.micro_batch_size, or set train.recompute=block"},
	NotInitialized:       {"CUDA_ERROR_NOT_INITIALIZED", "a fault in Skein: please report it"},
	StubLibrary:          {"CUDA_ERROR_STUB_LIBRARY", "a toolkit's stub was loaded in place of the driver: take …/stubs out of LD_LIBRARY_PATH"},
	DeviceUnavailable:    {"CUDA_ERROR_DEVICE_UNAVAILABLE", "another process holds the GPU for itself: nvidia-smi lists it"},
	NoDevice:             {"CUDA_ERROR_NO_DEVICE", "the driver sees no GPU: look at CUDA_VISIBLE_DEVICES, and in a container at --gpus all"},
	InvalidDevice:        {"CUDA_ERROR_INVALID_DEVICE", "there is no GPU of that number: skein doctor lists them"},
	InvalidImage:         {"CUDA_ERROR_INVALID_IMAGE", "the driver cannot read Skein's kernels: update it"},
	InvalidContext:       {"CUDA_ERROR_INVALID_CONTEXT", "a fault in Skein: please report it"},
	NoBinary:             {"CUDA_ERROR_NO_BINARY_FOR_GPU", "Skein's kernels do not fit this GPU: update the driver"},
	ECCUncorrectable:     {"CUDA_ERROR_ECC_UNCORRECTABLE", "the GPU's memory is faulty: restart the machine, and have the card replaced if it happens again"},
	InvalidPTX:           {"CUDA_ERROR_INVALID_PTX", "the driver could not compile Skein's kernels: update it"},
	NoCompiler:           {"CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "libnvidia-ptxjitcompiler, a part of the driver, is missing: install it (apt install libnvidia-ptxjitcompiler1), or give the container NVIDIA_DRIVER_CAPABILITIES=compute,utility"},
	UnsupportedPTX:       {"CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the driver is too old for Skein's kernels: update it"},
	CompilerDisabled:     {"CUDA_ERROR_JIT_COMPILATION_DISABLED", "the driver may not compile Skein's kernels: unset CUDA_DISABLE_PTX_JIT"},
	OperatingSystem:      {"CUDA_ERROR_OPERATING_SYSTEM", "the system refused the driver something: look at the rights on /dev/nvidia* and at the limits of the container or the user"},
	InvalidHandle:        {"CUDA_ERROR_INVALID_HANDLE", "a fault in Skein: please report it"},
	NotFound:             {"CUDA_ERROR_NOT_FOUND", "a kernel is missing: a fault in Skein, please report it"},
	IllegalAddress:       {"CUDA_ERROR_ILLEGAL_ADDRESS", lost},
	LaunchOutOfResources: {"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "a kernel asks for more than this GPU has: a fault in Skein, please report it with the GPU's name"},
	LaunchTimeout:        {"CUDA_ERROR_LAUNCH_TIMEOUT", "the system ends long work on a GPU that drives a display: use another one, or lower train.micro_batch_size"},
	ContextIsDestroyed:   {"CUDA_ERROR_CONTEXT_IS_DESTROYED", lost},
	Assert:               {"CUDA_ERROR_ASSERT", lost},
	HardwareStackError:   {"CUDA_ERROR_HARDWARE_STACK_ERROR", lost},
	IllegalInstruction:   {"CUDA_ERROR_ILLEGAL_INSTRUCTION", lost},
	MisalignedAddress:    {"CUDA_ERROR_MISALIGNED_ADDRESS", lost},
	LaunchFailed:         {"CUDA_ERROR_LAUNCH_FAILED", lost},
	NotPermitted:         {"CUDA_ERROR_NOT_PERMITTED", "the system forbids it: look at the container's or the user's rights on /dev/nvidia*"},
	NotSupported:         {"CUDA_ERROR_NOT_SUPPORTED", "this GPU or driver cannot do it: update the driver"},
	SystemNotReady:       {"CUDA_ERROR_SYSTEM_NOT_READY", "the machine's fabric manager is not up: systemctl start nvidia-fabricmanager"},
	SystemDriverMismatch: {"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "libcuda and the kernel's module are of different versions: restart the machine after a driver's update"},
	CompatNotSupported:   {"CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "a forward-compatibility package is loaded, which this GPU does not take: remove cuda-compat"},
	CaptureUnsupported:   {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "a fault in Skein: please report it"},
	CaptureInvalidated:   {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "a fault in Skein: please report it"},
	CaptureImplicit:      {"CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "a fault in Skein: please report it"},
	UnknownError:         {"CUDA_ERROR_UNKNOWN", "often /dev/nvidia-uvm is missing or not permitted: run nvidia-modprobe -u, or restart the machine"},
}

func (c Code) Error() string {
	if m, ok := meanings[c]; ok {
		return m.name + ": " + m.remedy
	}
	return fmt.Sprintf("CUDA error %d", int32(c))
}

// Error is a call that failed.
type Error struct {
	Call string // as libcuda names it
	Code Code
}

func (e *Error) Error() string { return e.Call + ": " + e.Code.Error() }

// Unwrap is the Code.
func (e *Error) Unwrap() error { return e.Code }
