package blas

func systemProbes() []func() Library {
	return []func() Library{
		func() Library {
			return onednnLibrary("apt install libdnnl2, or libdnnl3 on newer systems", "libdnnl.so.3", "libdnnl.so.2")
		},
		func() Library {
			return fortranLibrary("openblas", "OpenBLAS", "apt install libopenblas0-pthread", "libopenblas.so.0", "libopenblas.so")
		},
	}
}
