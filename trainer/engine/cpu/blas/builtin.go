package blas

import "github.com/skein-train/skein/trainer/engine/cpu/kernels"

// builtinLibrary stands for the engine's own product: what a machine gets that has wide registers and no library.
func builtinLibrary() Library {
	l := Library{Name: "builtin", Title: "built-in assembly", Path: "part of this program"}
	if len(kernels.Available()) == 1 {
		l.Note = "no assembly for this processor"
		return l
	}
	l.Found = true
	l.open = func() (Multiplier, error) { return nil, nil }
	return l
}
