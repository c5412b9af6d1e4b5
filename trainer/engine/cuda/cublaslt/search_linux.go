package cublaslt

import "fmt"

func nameOf(major int) string { return fmt.Sprintf("libcublasLt.so.%d", major) }

// Where libraries lie below the root of a toolkit, a conda environment and a Python. Wheels are nvidia-cublas-cu12, below
// nvidia/cublas, and nvidia-cublas, below nvidia/cu13.
const (
	inToolkit = "lib64"
	inConda   = "lib"
	inWheels  = "lib*/python3*/*-packages/nvidia/cu*/lib"
)
