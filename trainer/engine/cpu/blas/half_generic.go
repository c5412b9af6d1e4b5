//go:build !amd64

package blas

func halfUnit() (unit, none string) {
	return "", "bf16 products are used on amd64 only"
}
