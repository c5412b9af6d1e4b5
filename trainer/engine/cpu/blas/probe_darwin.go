package blas

func systemProbes() []func() Library {
	return []func() Library{
		func() Library {
			return fortranLibrary("accelerate", "Accelerate", "", "/System/Library/Frameworks/Accelerate.framework/Accelerate")
		},
		func() Library {
			return onednnLibrary("brew install onednn", "/opt/homebrew/lib/libdnnl.dylib", "/usr/local/lib/libdnnl.dylib")
		},
		func() Library {
			return fortranLibrary("openblas", "OpenBLAS", "brew install openblas",
				"/opt/homebrew/opt/openblas/lib/libopenblas.dylib", "/usr/local/opt/openblas/lib/libopenblas.dylib")
		},
	}
}
