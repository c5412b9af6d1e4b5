package driver

import "github.com/ebitengine/purego"

// places are the names and files by which systems have libcuda: the loader's own search, WSL, containers, NixOS, Fedora.
func places() []string {
	return []string{
		"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1", "/run/opengl-driver/lib/libcuda.so.1",
		"/usr/lib64/libcuda.so.1",
	}
}

func load(file string) (uintptr, error) {
	return purego.Dlopen(file, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

func (l library) symbol(name string) uintptr {
	p, err := purego.Dlsym(l.handle, name)
	if err != nil {
		return 0
	}
	return p
}
