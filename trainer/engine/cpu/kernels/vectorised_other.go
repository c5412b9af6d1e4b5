//go:build !amd64

package kernels

func vectorised() []Set { return nil }
