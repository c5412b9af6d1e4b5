package blas

import "golang.org/x/sys/cpu"

func halfUnit() (unit, none string) {
	switch {
	case cpu.X86.HasAMXBF16 && cpu.X86.HasAMXTile:
		return "AMX", ""
	case cpu.X86.HasAVX512BF16:
		return "AVX512-BF16", ""
	}
	return "", "this processor has no bf16 products"
}
