//go:build !linux && !darwin

package blas

// probes: loading libraries at run time is written for Linux and macOS only.
func probes() []func() Library {
	return []func() Library{builtinLibrary, gonumLibrary}
}
