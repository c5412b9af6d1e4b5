//go:build !linux && !windows

package library

import "errors"

func load(string) (uintptr, error) { return 0, errors.New("NVIDIA makes no driver for this system") }

func (Library) symbol(string) uintptr { return 0 }
