package cublaslt

import "errors"

// What tests outside of the package look at: inside they could not have a fake library, which knows this package.
var (
	Places = places
	First  = first
)

// Describe makes all that describes a product to the library, which needs no GPU, and drops it.
func (l *Library) Describe(of Product) error {
	p := &plan{}
	err := p.describe(l, of)
	preference, failed := l.preference(of)
	return errors.Join(err, failed, p.close(l), l.call(cublasLtMatmulPreferenceDestroy, preference))
}
