//go:build !linux && !darwin

package blas

// probes: run-time loading is written for Linux and macOS only.
func probes() []func() Library {
	return []func() Library{gonumLibrary}
}
