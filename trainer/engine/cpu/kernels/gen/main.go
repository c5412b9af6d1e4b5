// Command gen writes the vectorised kernels as Go assembly: the same short bodies for AVX-512 and for AVX2 with FMA.
//
//	go run . -out ../vector_amd64.s -stubs ../vector_amd64.go -pkg kernels
package main

import "github.com/mmcloughlin/avo/build"

func main() {
	build.ConstraintExpr("amd64")
	for _, m := range []machine{avx512, avx2} {
		for _, write := range kernels {
			write(m)
		}
		for _, rows := range m.tiles {
			tile(m, rows)
		}
	}
	build.Generate()
}

// kernels lists what is written for each machine.
var kernels = []func(machine){
	add, mix, scale, dot, sumSquares, maximum,
	sumExp, expSum, expScale, softmaxGrad,
	norm, normGradSums, normGrad, normGradAdd,
	swiglu, swigluGrad, rotate, adamW,
	square, copyRows, widen, narrow,
}
