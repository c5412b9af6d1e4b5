//go:build !linux && !darwin

package blas

import "errors"

// OpenHalves: loading libraries at run time is written for Linux and macOS only.
func OpenHalves(int) ([]Half, Library, error) {
	return nil, Library{}, errors.New("no library can be loaded on this system")
}
