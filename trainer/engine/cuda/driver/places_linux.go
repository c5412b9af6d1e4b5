package driver

// places are the names and files by which systems have libcuda: the loader's own search, WSL, containers, NixOS, Fedora.
func places() []string {
	return []string{
		"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1", "/run/opengl-driver/lib/libcuda.so.1",
		"/usr/lib64/libcuda.so.1",
	}
}
