package cublaslt

import "fmt"

func nameOf(major int) string { return fmt.Sprintf("cublasLt64_%d.dll", major) }

// Where libraries lie below the root of a toolkit, a conda environment and a Python.
const (
	inToolkit = "bin"
	inConda   = "Library/bin"
	inWheels  = "Lib/site-packages/nvidia/cu*/bin"
)
