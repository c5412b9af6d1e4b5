//go:build !linux && !windows

package driver

// places: NVIDIA makes no driver for this system.
func places() []string { return nil }

func load(string) (uintptr, error) { return 0, ErrNoDriver }

func (library) symbol(string) uintptr { return 0 }
