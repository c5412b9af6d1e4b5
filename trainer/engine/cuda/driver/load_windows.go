package driver

import "syscall"

// places: the driver puts it into System32.
func places() []string { return []string{"nvcuda.dll"} }

func load(file string) (uintptr, error) {
	h, err := syscall.LoadLibrary(file)
	return uintptr(h), err
}

func (l library) symbol(name string) uintptr {
	p, err := syscall.GetProcAddress(syscall.Handle(l.handle), name)
	if err != nil {
		return 0
	}
	return p
}
