package kernels

import "golang.org/x/sys/cpu"

//go:generate go run -C gen . -out ../vector_amd64.s -stubs ../vector_amd64.go -pkg kernels

// vectorised lists the assembly that this processor runs.
func vectorised() (sets []Set) {
	x := cpu.X86
	if x.HasAVX512F && x.HasAVX512VL && x.HasAVX512BW && x.HasAVX512DQ && x.HasBMI2 {
		sets = append(sets, Set{
			Name: "AVX-512",
			Add:  addAVX512, Mix: mixAVX512, Scale: scaleAVX512, Dot: dotAVX512, SumSquares: sumSquaresAVX512, Max: maximumAVX512,
			SumExp: sumExpAVX512, ExpSum: expSumAVX512, ExpScale: expScaleAVX512, SoftmaxGrad: softmaxGradAVX512,
			Norm: normAVX512, NormGradSums: normGradSumsAVX512, NormGrad: normGradAVX512, NormGradAdd: normGradAddAVX512,
			SwiGLU: swigluAVX512, SwiGLUGrad: swigluGradAVX512, Rotate: rotateAVX512,
			AdamW:  func(p, g, m, v []float32, s *AdamW) { adamWAVX512(p, g, m, v, &s.Scale) },
			Square: squareAVX512, Side: 16, CopyRows: copyRowsAVX512, Widen: widenAVX512, Narrow: narrowAVX512,
			Tiles: Tiles{Cols: 32, Heights: []Height{{12, tile12AVX512}, {8, tile8AVX512}, {4, tile4AVX512}, {2, tile2AVX512}, {1, tile1AVX512}}},
		})
	}
	if x.HasAVX2 && x.HasFMA {
		sets = append(sets, Set{
			Name: "AVX2",
			Add:  addAVX2, Mix: mixAVX2, Scale: scaleAVX2, Dot: dotAVX2, SumSquares: sumSquaresAVX2, Max: maximumAVX2,
			SumExp: sumExpAVX2, ExpSum: expSumAVX2, ExpScale: expScaleAVX2, SoftmaxGrad: softmaxGradAVX2,
			Norm: normAVX2, NormGradSums: normGradSumsAVX2, NormGrad: normGradAVX2, NormGradAdd: normGradAddAVX2,
			SwiGLU: swigluAVX2, SwiGLUGrad: swigluGradAVX2, Rotate: rotateAVX2,
			AdamW:  func(p, g, m, v []float32, s *AdamW) { adamWAVX2(p, g, m, v, &s.Scale) },
			Square: squareAVX2, Side: 8, CopyRows: copyRowsAVX2, Widen: widenAVX2, Narrow: narrowAVX2,
			Tiles: Tiles{Cols: 16, Heights: []Height{{6, tile6AVX2}, {4, tile4AVX2}, {2, tile2AVX2}, {1, tile1AVX2}}},
		})
	}
	return sets
}
