package library

import "syscall"

func load(file string) (uintptr, error) {
	h, err := syscall.LoadLibrary(file)
	return uintptr(h), err
}

func (l Library) symbol(name string) uintptr {
	p, err := syscall.GetProcAddress(syscall.Handle(l.handle), name)
	if err != nil {
		return 0
	}
	return p
}
