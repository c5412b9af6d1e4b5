//go:build !linux && !windows

package cublaslt

// nameOf: there is no cuBLASLt for this system.
func nameOf(int) string { return "" }

const inToolkit, inConda, inWheels = "", "", ""
