package cublaslt

// What tests outside of the package look at: inside they could not have a fake library, which knows this package.
var (
	Places = places
	First  = first
)
